"""Following events over the notifier's websocket: reconnects with full jitter and goes on at the cursor."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Protocol, Self
from urllib.parse import urlencode

from pydantic import Field, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ratchet.client.backoff import full_jitter
from ratchet.client.endpoints import Endpoints, is_loopback, websocket_url
from ratchet.client.errors import NotRecovered, Problem, ServerUnreachable
from ratchet.client.http_calls import Timing
from ratchet.client.results import View

NOT_RECOVERED = "NOT_RECOVERED"
OPEN_SECONDS = 10
LIVED_SECONDS = 5.0
"""A connection that stood this long ends a row of failures."""

ACK_AFTER_SECONDS = 0.2
ACK_AFTER_EVENTS = 100
MAX_FRAME_BYTES = 2 * 1024 * 1024

_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})

log = logging.getLogger("ratchet.client")


class Frame(View):
    """What the notifier sends; only frames with an `id` are events."""

    id: int | None = None
    type: str = ""
    data: dict[str, Any] = Field(default_factory=dict)

    @property
    def position(self) -> int | None:
        """Where the feed goes on, in frames that say so."""
        position = self.data.get("after")
        return position if isinstance(position, int) else None


class Notification(View):
    """An event from the feed; `id` is its position there, so it works as a cursor."""

    id: int
    type: str
    time: datetime
    data: dict[str, Any]

    @property
    def workflow_id(self) -> str:
        """The workflow that it is about."""
        return str(self.data.get("workflowId", ""))


Place = int | Literal["newest"] | None
"""After an event, with what is new, or (None) after what was acknowledged, else with the oldest event that is kept."""


@dataclass(frozen=True, slots=True)
class Following:
    """Which feed is followed from where; `on_reconnect` hears of each lost connection before the next try."""

    after: Place = None
    everybody: bool = False
    acknowledge: bool = False
    on_reconnect: Callable[[ServerUnreachable], None] | None = None


class Socket(Protocol):
    """The part of a websocket connection that is used here."""

    async def recv(self) -> str | bytes: ...  # noqa: D102 - as in websockets
    async def send(self, message: str) -> None: ...  # noqa: D102 - as in websockets
    async def close(self) -> None: ...  # noqa: D102 - as in websockets


Opener = Callable[[str, str], Awaitable[Socket]]
"""Connects to a URL with a token."""


class NotificationStream:
    """The events after the cursor, each once and in order, without end: `async for event in stream`.

    One task may read it. `async with` or `close()` ends it early; closing the client does the same.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        following: Following,
        *,
        timing: Timing | None = None,
        opener: Opener | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._following = following
        self._timing = timing or Timing()
        self._open = opener or _open
        self._cursor = following.after if isinstance(following.after, int) else None
        self._handing_out: int | None = None
        self._unacknowledged = 0
        self._socket: Socket | None = None
        self._failures = 0
        self._tried_at = 0.0
        self._closed = False

    @property
    def position(self) -> int | None:
        """Where it would go on after a lost connection; None until the notifier has said where the feed stands."""
        return self._cursor if self._handing_out is None else self._handing_out

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        """Wait for the next event.

        Raises:
            NotRecovered: events after the cursor are no longer kept.
            Problem: the notifier refuses the token or the request.
        """
        self._count_handled()
        while not self._closed:
            try:
                notification = self._next(await self._receive())
            except InvalidStatus as error:
                _raise_if_final(error)
                await self._lost(f"it answered {error.response.status_code}")
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as error:
                await self._lost(f"{type(error).__name__}: {error}".removesuffix(": "))
            else:
                if notification is not None:
                    self._failures = 0
                    self._handing_out = notification.id
                    return notification
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it; what was handled and not acknowledged yet is acknowledged. Safe to repeat."""
        self._closed = True
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(ConnectionClosed, OSError):
                await self._acknowledge(socket)
                await socket.close()

    def _count_handled(self) -> None:
        # The caller asks for another event, so the one before has been handled.
        if self._handing_out is not None:
            self._cursor, self._handing_out = self._handing_out, None
            self._unacknowledged += self._following.acknowledge

    async def _receive(self) -> str | bytes:
        socket = self._socket
        if socket is None:
            self._tried_at = self._now()
            socket = self._socket = await self._open(self._address(), self._endpoints.token())
        if self._unacknowledged >= ACK_AFTER_EVENTS:
            await self._acknowledge(socket)
        if self._unacknowledged:
            try:
                async with asyncio.timeout(ACK_AFTER_SECONDS):
                    return await socket.recv()
            except TimeoutError:
                await self._acknowledge(socket)
        return await socket.recv()

    def _next(self, text: str | bytes) -> Notification | None:
        try:
            frame = Frame.model_validate_json(text)
        except ValidationError:
            log.warning("a frame from the notifier cannot be read and is passed over")
            return None
        if frame.type == NOT_RECOVERED:
            raise _not_recovered(self._cursor, frame.position)
        if frame.id is None:
            # Whoever began without a number must not miss what comes while a lost connection is restored.
            self._cursor = frame.position if self._cursor is None else self._cursor
            return None
        if self._cursor is not None and frame.id <= self._cursor:
            return None
        return Notification.model_validate(frame.model_dump())

    async def _lost(self, trouble: str) -> None:
        self._socket = None
        self._failures = 1 if self._now() - self._tried_at > LIVED_SECONDS else self._failures + 1
        wait = full_jitter(self._failures, self._timing.fraction()).total_seconds()
        log.info("notifier connection lost (%s), next try in %.1f s", trouble, wait)
        if self._following.on_reconnect is not None:
            where = self._endpoints.notifier_url
            told = ServerUnreachable(f"No connection to the notifier at {where} ({trouble}); trying again")
            self._following.on_reconnect(told)
        await self._timing.sleep(wait)

    async def _acknowledge(self, socket: Socket) -> None:
        if self._unacknowledged:
            await socket.send(json.dumps({"ack": self._cursor}))
            self._unacknowledged = 0

    def _address(self) -> str:
        # Without a cursor of its own it asks for the feed's, so that it has one when the connection is lost.
        query = {"hello": "true"} if self._cursor is None else {"after": str(self._cursor)}
        if self._cursor is None and self._following.after is not None:
            query["after"] = str(self._following.after)
        if self._following.everybody:
            query["all"] = "true"
        return f"{websocket_url(self._endpoints.notifier_url)}/ws" + (f"?{urlencode(query)}" if query else "")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _not_recovered(cursor: int | None, position: int | None) -> NotRecovered:
    return NotRecovered(
        f"The events after position {cursor} are no longer kept, or there are none yet. "
        f"Read the present state of your workflows, then follow again after position {position}",
        position,
    )


async def _open(url: str, token: str) -> ClientConnection:
    return await connect(
        url,
        additional_headers={"Authorization": f"Bearer {token}"},
        open_timeout=OPEN_SECONDS,
        close_timeout=1,
        max_size=MAX_FRAME_BYTES,
        proxy=None if is_loopback(url) else True,
    )


def _raise_if_final(error: InvalidStatus) -> None:
    status = error.response.status_code
    if 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY:
        try:
            members = json.loads(error.response.body or b"{}")
        except ValueError:
            members = {}
        fallback = {"title": f"The notifier answered {status}"}
        raise Problem(status, members if isinstance(members, dict) and members else fallback) from error
