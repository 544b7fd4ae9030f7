"""The one way from a subscription to a client, whatever protocol it speaks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog
from ratchet.notifications import FeedStore, Notification
from ratchet.observability.metrics import NotifierMetrics

from notifier.acknowledge import Acknowledgements
from notifier.admit import Admission
from notifier.connections import Connection, End
from notifier.follow_feeds import FollowedFeeds
from notifier.reader_settings import ReaderSettings
from notifier.refuse import Reason, Refused
from notifier.socket import Gone
from notifier.subscribe import Delivery, NotRecovered, Subscription, subscribe

KEEP_ALIVE = timedelta(seconds=15)

PIECE = 20
"""Notifications sent in one go. Whoever reads slowly and steadily gets a piece within the limit for a send, so it comes
to the end of a long replay, where a larger send would be cut off and begun again, for ever."""

log = structlog.get_logger()

Send = Callable[[Delivery], Awaitable[None]]
"""Sends a delivery; an empty one is a sign of life."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """What every face needs to open a subscription and to serve it."""

    store: FeedStore
    followed: FollowedFeeds
    settings: ReaderSettings
    acknowledgements: Acknowledgements
    metrics: NotifierMetrics

    async def subscribe(self, admission: Admission) -> Subscription:
        """Open the subscription that was admitted; to be closed.

        Raises:
            Refused: the database cannot be asked at the moment.
        """
        # Whoever acknowledges, leaves and comes back at once must not get the same again.
        await self.acknowledgements.settle(admission.reader)
        try:
            return await subscribe(self.store, self.followed, reader=admission.reader, after=admission.after)
        except Exception as error:  # outages come in many types; the client can only come back later
            log.warning("subscription.not_opened", error=f"{type(error).__name__}: {error}")
            raise Refused(503, Reason.DATABASE, "The feed cannot be read at the moment: try again shortly") from error


class Pusher:
    """Pushes beside whatever else is done for a connection. A context manager; may be stopped and started again."""

    def __init__(
        self,
        pushing: Pushing,
        subscription: Subscription,
        connection: Connection,
        *,
        send: Send,
        keep_alive: timedelta | None = None,
    ) -> None:
        self._pushing = pushing
        self._subscription = subscription
        self._connection = connection
        self._send = send
        self._keep_alive = None if keep_alive is None else keep_alive.total_seconds()
        self._task: asyncio.Task[None] | None = None

    def start(self, *, wait: timedelta = timedelta(0)) -> None:
        """Begin to push after `wait`. If it fails later, the connection ends."""
        self._task = asyncio.create_task(self._run(wait.total_seconds()))
        self._task.add_done_callback(self._look)

    async def stop(self) -> None:
        """Stop; what was on its way may or may not have been sent. Safe to repeat."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):  # `_look` has seen to it
                await task
            self._connection.sending_since = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _look(self, done: "asyncio.Task[None]") -> None:
        if done.cancelled() or (error := done.exception()) is None:
            return
        if not isinstance(error, Gone):
            log.error("connection.failed", face=self._connection.face, exc_info=error)
            self._connection.end(End.FAILED)

    async def _run(self, wait: float) -> None:
        if wait:
            await asyncio.sleep(wait)
        clock = asyncio.get_running_loop().time
        pushed = self._pushing.metrics.pushed.labels(self._connection.face)
        subscription = self._subscription
        with self._pushing.settings.of(subscription.reader, muted=subscription.muted) as settings:
            while True:
                delivery = await self._next()
                if not isinstance(delivery, NotRecovered) and settings.muted:
                    delivery = _without(delivery, settings.muted)
                for piece in _pieces(delivery):
                    self._connection.sending_since = clock()
                    await self._send(piece)
                    self._connection.sending_since = None
                    if not isinstance(piece, NotRecovered):
                        pushed.inc(len(piece))

    async def _next(self) -> Delivery:
        if self._keep_alive is None:
            return await self._subscription.next()
        try:
            async with asyncio.timeout(self._keep_alive):
                return await self._subscription.next()
        except TimeoutError:
            return ()


def _pieces(delivery: Delivery) -> Sequence[Delivery]:
    if isinstance(delivery, NotRecovered) or len(delivery) <= PIECE:
        return (delivery,)
    return [delivery[start : start + PIECE] for start in range(0, len(delivery), PIECE)]


def _without(notifications: Sequence[Notification], muted: frozenset[str]) -> Sequence[Notification]:
    return [notification for notification in notifications if notification.type not in muted]
