"""Calling out for `http_step`: guarded addresses, no redirects, a capped answer, failures classified by status."""

import asyncio
import re
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2
from ratchet.authoring import HttpCall
from ratchet.domain.egress import EgressRules
from ratchet.domain.errors import LONGEST_WAIT, PermanentError, TransientError, wait_of
from ratchet.domain.transience import is_transient_status
from ratchet.exact_json import InexactJson, loads_answer

MAX_ANSWER_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
IDLE_CONNECTIONS = 100
IDLE_SECONDS = 5.0

Option = tuple[Any, ...]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a name once, and connects only to addresses that the rules allow.

    Checking the name first and letting the library resolve it again would let the second answer be another one.
    """

    def __init__(self, rules: EgressRules) -> None:
        self._rules = rules
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Option] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first allowed address that answers.

        Raises:
            PermanentError: none of the host's addresses is allowed.
        """
        failure: Exception = PermanentError(
            f"{host} is not a public address; to allow it list it in RATCHET_HTTP_ALLOW of the executors"
        )
        for address in await _resolve(host, port):
            if not self._rules.allows(host, address):
                continue
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Between the library's own attempts."""
        await asyncio.sleep(seconds)


class HttpCaller:
    """Sends the requests of `http_step`s. One instance serves all; close it at the end."""

    def __init__(self, rules: EgressRules) -> None:
        # As many connections as steps run: the prefetch bounds them. A limit here would be waited for within the step's
        # own time, and told as a failure of a host that was never asked.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            network_backend=GuardedBackend(rules),
            max_connections=None,
            max_keepalive_connections=IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def __call__(self, call: HttpCall) -> Any:
        """Send one request and return the JSON of its answer (None for an empty one).

        Raises:
            TransientError: transport trouble, 5xx, 408, 429.
            PermanentError: anything else that is no success.
        """
        url = _checked(call.url)
        try:
            async with self._pool.stream(
                call.method, url, headers=list(call.headers), content=call.body, extensions=_TIMEOUTS
            ) as answer:
                body = await _read(answer)
                return _judged(answer, body, host=urlsplit(call.url).hostname or "")
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise TransientError(f"{type(error).__name__} calling {urlsplit(url).hostname}: {error}") from error


# The step's own time limit bounds the whole; this one finds a host that never answers the connection.
_TIMEOUTS = {"timeout": {"connect": CONNECT_SECONDS}}


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PermanentError("An http_step calls http:// or https:// addresses only")
    if parts.username is not None or parts.password is not None:
        raise PermanentError("Put credentials into headers; an address with them in it ends up in logs")
    return str(httpx2.URL(url))


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TransientError(f"{host} cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _read(answer: httpcore2.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_stream():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise PermanentError(f"The answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _judged(answer: httpcore2.Response, body: bytes, *, host: str) -> Any:
    status = answer.status
    if 200 <= status < 300:
        return _parsed(body, host)
    if is_transient_status(status):
        raise TransientError(f"{host} answered {status}", retry_after=_retry_after(answer))
    if 300 <= status < 400:
        raise PermanentError(f"{host} answered {status}; redirects are not followed: use the final address")
    raise PermanentError(f"{host} answered {status}")


def _parsed(body: bytes, host: str) -> Any:
    if not body.strip():
        return None
    try:
        return loads_answer(body)
    except InexactJson as error:
        raise PermanentError(f"{host} answered a number that cannot be kept: {error}") from error
    except ValueError as error:
        raise PermanentError(f"{host} answered something that is not JSON") from error


def _retry_after(answer: httpcore2.Response) -> timedelta | None:
    """The answer's `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3)."""
    for name, value in answer.headers:
        if name.lower() == b"retry-after":
            return _wait(value.decode("latin-1").strip())
    return None


def _wait(text: str) -> timedelta | None:
    """Anything but seconds in ASCII digits or a date asks for nothing: the header is no reason to fail for good."""
    if _SECONDS.fullmatch(text):
        return wait_of(int(text[:_DIGITS]) if len(text) <= _DIGITS else LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
        return wait_of((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC))
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


_SECONDS = re.compile(r"[0-9]+")
_DIGITS = 9
