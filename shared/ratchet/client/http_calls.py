"""Requests to the admin API: bounded repeats with the same idempotency key, problems as exceptions."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2

from ratchet.client.backoff import LONGEST, full_jitter
from ratchet.client.endpoints import Endpoints, is_loopback
from ratchet.client.errors import InvalidCommand, Problem, ServerUnreachable
from ratchet.messages.envelope import accepted_correlation_id

PREFIX = "/api/v1"
TRIES = 6
"""Enough for a service that is restarted: 3 seconds on average."""
TIMEOUT = httpx2.Timeout(30, connect=5)
CORRELATION_HEADER = "X-Correlation-ID"

# The server, or something before it, is away or busy; it did not judge the request.
_PASSING = frozenset({429, 502, 503, 504})

log = logging.getLogger("ratchet.client")


Query = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Randomness and sleep, handed in so that tests need not wait."""

    fraction: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Call:
    """One request. A POST is safe to send again: the server knows it by its idempotency key."""

    method: str
    path: str
    body: Any = None
    params: Query = field(default_factory=dict)
    correlation_id: str | None = None
    idempotency_key: str | None = None
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer; `location` is where an outcome that is not known yet will be found."""

    status: int
    body: Any
    correlation_id: str | None
    location: str | None


class HttpCalls:
    """A connection pool to the admin API. `transport` replaces the network in tests."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._timing = timing or Timing()
        self._http = httpx2.AsyncClient(
            base_url=endpoints.api_url,
            timeout=TIMEOUT,
            transport=transport,
            trust_env=not is_loopback(endpoints.api_url),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call) -> Answer:
        """Send until there is an answer that means something, at most `TRIES` times.

        Raises:
            Problem: the API refused or failed.
            ServerUnreachable: there was no answer each time.
        """
        headers = self._headers(call)
        for failures in range(1, TRIES + 1):
            last = failures == TRIES
            try:
                response = await self._request(call, headers)
            except httpx2.TransportError as error:
                if last:
                    raise ServerUnreachable(self._unreachable(error)) from error
                wait = full_jitter(failures, self._timing.fraction())
                log.info("no answer from the API (%s), trying again", type(error).__name__)
            else:
                if last or not _is_passing(response) or (asked := _asked_wait(response)) > LONGEST:
                    return _answer(response)
                wait = max(asked, full_jitter(failures, self._timing.fraction()))
            await self._timing.sleep(wait.total_seconds())
        raise AssertionError("unreachable: the last try returns or raises")

    async def _request(self, call: Call, headers: Mapping[str, str]) -> httpx2.Response:
        authorization = {"Authorization": f"Bearer {self._endpoints.token()}"}
        return await self._http.request(
            call.method,
            # A location that the server named is complete already.
            call.path if call.path.startswith(PREFIX) else PREFIX + call.path,
            params=dict(call.params) or None,
            json=call.body,
            headers={**headers, **authorization},
        )

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"Accept": "application/json", CORRELATION_HEADER: correlation_id_or_new(call.correlation_id)}
        if call.method == "POST":
            headers["Idempotency-Key"] = call.idempotency_key or str(uuid4())
        if call.if_match is not None:
            headers["If-Match"] = call.if_match
        return headers

    def _unreachable(self, error: httpx2.TransportError) -> str:
        kind = "did not answer in time" if isinstance(error, httpx2.TimeoutException) else "cannot be reached"
        return (
            f"The API at {self._endpoints.api_url} {kind} ({type(error).__name__}). Is it running? Try `ratchet doctor`"
        )


def correlation_id_or_new(offered: str | None) -> str:
    """`offered`, or a fresh id when it is None.

    Raises:
        InvalidCommand: the servers would replace it by another one.
    """
    if offered is None:
        return str(uuid4())
    if not accepted_correlation_id(offered, ""):
        raise InvalidCommand("A correlation id is 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    return offered


def _is_passing(response: httpx2.Response) -> bool:
    # A conflict that asks for a later try is the same request, sent before and still running.
    status = response.status_code
    return status in _PASSING or (status == httpx2.codes.CONFLICT and "Retry-After" in response.headers)


def _asked_wait(response: httpx2.Response) -> timedelta:
    text = response.headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else timedelta(0)


def _answer(response: httpx2.Response) -> Answer:
    body = _json(response)
    if response.status_code >= 400:
        fallback = {"title": response.reason_phrase or f"HTTP {response.status_code}"}
        raise Problem(response.status_code, body if isinstance(body, dict) else fallback)
    if body is None:
        raise ServerUnreachable(f"{response.url.copy_with(query=None)} did not answer with JSON: is it Ratchet's API?")
    return Answer(
        status=response.status_code,
        body=body,
        correlation_id=response.headers.get(CORRELATION_HEADER),
        location=response.headers.get("Location"),
    )


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
