"""A subscription: a cursor in one feed; what comes after it, stored first and then live, each once and in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from ratchet.notifications import FeedStore, Notification, Reader

from notifier.follow_feeds import FollowedFeeds
from notifier.tail import Tail

PAGE = 200
TRY_AGAIN_AFTER = timedelta(seconds=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Newest:
    """Begin with what is new, whatever was acknowledged."""


@dataclass(frozen=True, slots=True)
class NotRecovered:
    """What should come next is not kept, or never was; the stream goes on after `position`."""

    position: int


Delivery = Sequence[Notification] | NotRecovered
"""What a subscription yields."""


class Subscription:
    """Made by `subscribe`; to be closed."""

    __slots__ = ("_followed", "_lost", "_store", "_tail", "muted", "position", "reader")

    def __init__(self, store: FeedStore, followed: FollowedFeeds, tail: Tail, reader: Reader) -> None:
        self._store = store
        self._followed = followed
        self._tail = tail
        self._lost = False
        self.reader = reader
        self.position = 0
        self.muted: frozenset[str] = frozenset()

    def close(self) -> None:
        """Stop following."""
        self._followed.unfollow(self._tail)

    async def next(self) -> Delivery:
        """Wait for what comes next; moves on only when it returns.

        During an outage of the database it waits for its end.
        """
        while True:
            if self._lost:
                self._lost = False
                return NotRecovered(self.position)
            found = self._tail.after(self.position)
            if found is None:
                found = await self._read()
            if found:
                if found[0].seq != self.position + 1:  # pruned before it could be sent
                    self._lost, self.position = True, found[0].seq - 1
                    continue
                self.position = found[-1].seq
                return found
            if not self._lost:
                await self._tail.beyond(self.position)

    async def _read(self) -> Sequence[Notification]:
        while True:
            try:
                # Thousands may come back at once with much to read; what is new must not wait behind them.
                async with self._followed.catching_up:
                    found = await self._store.read(self.reader.feed, after=self.position, limit=PAGE)
            except Exception as error:  # an outage, most likely; whatever it is, the reader must not lose its place
                log.warning("subscription.not_read", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(TRY_AGAIN_AFTER.total_seconds())
                continue
            if not found and self._tail.position is not None and self._tail.position > self.position:
                # Everything up to there was pruned.
                self._lost, self.position = True, self._tail.position
            return found

    async def start(self, after: int | Newest | None) -> None:
        """Find the place to begin, or begin again elsewhere; not while `next` is waited for.

        Without a place of its own, and without an acknowledged one, a reader may need everything that is kept.
        Raises what the database raises.
        """
        state = await self._store.state(self.reader)
        self._tail.start_at(state.newest)
        # A hint that came before the first look found no position to read from.
        self._followed.hint([self.reader.feed])
        self.muted = state.muted
        match after:
            case Newest():
                wanted = state.newest
            case None:
                wanted = state.pruned if state.acknowledged is None else state.acknowledged
            case _:
                wanted = after
        self.position = min(max(wanted, state.pruned), state.newest)
        self._lost = wanted != self.position


async def subscribe(
    store: FeedStore, followed: FollowedFeeds, *, reader: Reader, after: int | Newest | None
) -> Subscription:
    """Follow a feed from `after` on; without it from the last acknowledged position, else from the oldest kept event.

    Following begins before the first look at the database, so nothing falls in between. Raises what the database
    raises; safe to repeat.
    """
    subscription = Subscription(store, followed, followed.follow(reader.feed), reader)
    try:
        await subscription.start(after)
    except BaseException:
        subscription.close()
        raise
    return subscription
