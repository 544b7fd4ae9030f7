"""Every open connection of this process: how it may end from our side, and who has stopped reading."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from ratchet.observability.metrics import NotifierMetrics, begin
from ratchet.tokens import Principal

from notifier.refuse import Reason, Refused

SEND_LIMIT = timedelta(seconds=5)
"""A send that waits longer than this waits for somebody who does not read."""

SWEEP_EVERY = timedelta(seconds=1)


class End(Enum):
    """Why we end a connection: a word for metrics, the websocket close code, and a text for the client."""

    STOPPING = ("stopping", 1012, "this instance stops: reconnect and resume")
    EXPIRED = ("expired", 4401, "token expired: reconnect with a new one")
    SLOW = ("slow", 1013, "not reading fast enough: reconnect and resume")
    FAILED = ("failed", 1011, "internal error: reconnect and resume")
    FLOOD = ("flood", 1008, "too many messages")
    NONSENSE = ("nonsense", 1003, "messages must be JSON objects in text frames")
    SILENT = ("silent", 1002, "no handshake in time")

    def __init__(self, reason: str, code: int, text: str) -> None:
        self.reason = reason
        self.code = code
        self.text = text

    @property
    def is_worth_reconnecting(self) -> bool:
        """Whether the client did nothing that it would do again."""
        return self not in (End.FLOOD, End.NONSENSE, End.SILENT)

    def refusal(self) -> Refused:
        """The same for a client that was not let in yet."""
        if self is End.EXPIRED:
            return Refused(401, Reason.TOKEN, "The token has expired: sign in again")
        return Refused(503, Reason.STOPPING if self is End.STOPPING else Reason.OURS, self.text)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections one process holds."""

    total: int
    per_user: int


class Connection:
    """One open connection, held by the task that serves it."""

    __slots__ = ("_task", "ending", "face", "sending_since")

    def __init__(self, face: str, task: "asyncio.Task[object]") -> None:
        self.face = face
        self._task = task
        self.ending: End | None = None
        self.sending_since: float | None = None
        """When the send in flight began; None while there is none."""

    def end(self, why: End) -> None:
        """Stop the task that serves it, from outside or from within a child task; the first reason stays."""
        if self.ending is None:
            self.ending = why
            self._task.cancel()


class Connections:
    """Counts, limits and ends connections."""

    def __init__(self, metrics: NotifierMetrics, limits: Limits) -> None:
        self._metrics = metrics
        begin(metrics.refused, Reason)
        begin(metrics.dropped, [end.reason for end in End])
        self._limits = limits
        self._open: set[Connection] = set()
        self._of_user: dict[str, int] = {}
        self._emptied = asyncio.Event()
        self._closed: End | None = None

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def open(self, face: str, principal: Principal) -> Iterator[Connection]:
        """Count the connection that the current task serves, and end it when the principal's token expires.

        If we end it, the task's cancellation stops here and `ending` tells why.

        Raises:
            Refused: this user, or this process, has enough connections, or it is about to stop.
        """
        self._check_room(principal)
        task = asyncio.current_task()
        assert task is not None  # every coroutine runs in one
        connection = Connection(face, task)
        expiry = asyncio.get_running_loop().call_later(
            max(0.0, (principal.expires_at - datetime.now(UTC)).total_seconds()), connection.end, End.EXPIRED
        )
        self._add(connection, principal)
        try:
            yield connection
        except asyncio.CancelledError:
            if connection.ending is None:
                raise
            task.uncancel()
        finally:
            expiry.cancel()
            self._remove(connection, principal)
            if connection.ending is not None:
                self._metrics.dropped.labels(connection.ending.reason).inc()

    def _check_room(self, principal: Principal) -> None:
        if self._closed is not None:
            raise self._closed.refusal()
        if len(self._open) >= self._limits.total:
            raise Refused(503, Reason.FULL, "This instance holds as many connections as it may: try again shortly")
        if self._of_user.get(principal.sub, 0) >= self._limits.per_user:
            raise Refused(
                429, Reason.USER_LIMIT, f"At most {self._limits.per_user} connections per user: close one first"
            )

    def _add(self, connection: Connection, principal: Principal) -> None:
        self._open.add(connection)
        self._of_user[principal.sub] = self._of_user.get(principal.sub, 0) + 1
        self._metrics.sockets.labels(connection.face).inc()

    def _remove(self, connection: Connection, principal: Principal) -> None:
        self._open.discard(connection)
        left = self._of_user[principal.sub] - 1
        if left:
            self._of_user[principal.sub] = left
        else:
            del self._of_user[principal.sub]
        self._metrics.sockets.labels(connection.face).dec()
        if not self._open:
            self._emptied.set()

    async def end_all(self, why: End, limit: timedelta) -> None:
        """End every connection and give them a moment to say goodbye; from now on nobody else is let in."""
        self._closed = why
        for connection in list(self._open):
            connection.end(why)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                while self._open:
                    self._emptied.clear()
                    await self._emptied.wait()

    async def sweep_forever(self, clock: Callable[[], float]) -> None:
        """End whoever has stopped reading, until cancelled. One sweep for all is cheaper than a timer for each send."""
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            limit = clock() - SEND_LIMIT.total_seconds()
            for connection in list(self._open):
                if connection.sending_since is not None and connection.sending_since < limit:
                    connection.end(End.SLOW)
