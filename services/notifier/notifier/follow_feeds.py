"""Follows the feeds of everybody connected here: woken by hints, and by a poll because hints may be lost."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import islice

import structlog
from ratchet.notifications import FeedStore, Notification
from ratchet.observability.metrics import NotifierMetrics

from notifier.tail import Tail

POLL_EVERY = timedelta(seconds=3)
TRY_AGAIN_AFTER = timedelta(milliseconds=500)
FEEDS_PER_READ = 200
ROWS_PER_FEED = 200
FEEDS_PER_POLL = 5000
CATCHING_UP_AT_ONCE = 4
"""Reads of what is older than memory reaches: half of the database connections, so that the new has the other half."""

log = structlog.get_logger()


class FollowedFeeds:
    """One tail for each feed that somebody here follows; hints gather while a read is in flight."""

    def __init__(self, store: FeedStore, metrics: NotifierMetrics, *, poll_every: timedelta = POLL_EVERY) -> None:
        self._store = store
        self._metrics = metrics
        self._poll_every = poll_every.total_seconds()
        self._tails: dict[str, Tail] = {}
        self._grown: dict[str, None] = {}  # in order, each once
        self._hinted = asyncio.Event()
        self._poll_due = False
        self.catching_up = asyncio.Semaphore(CATCHING_UP_AT_ONCE)
        """Taken by whoever reads a page of the past."""

    def follow(self, feed: str) -> Tail:
        """Begin to follow: from now on no hint for this feed is overlooked. Pair with `unfollow`."""
        tail = self._tails.get(feed)
        if tail is None:
            tail = self._tails[feed] = Tail(feed)
        tail.followers += 1
        return tail

    def unfollow(self, tail: Tail) -> None:
        """One follower less; a feed without followers is forgotten."""
        tail.followers -= 1
        if not tail.followers and self._tails.get(tail.feed) is tail:
            del self._tails[tail.feed]
            self._grown.pop(tail.feed, None)

    def hint(self, feeds: Iterable[str]) -> None:
        """These feeds have probably grown."""
        followed = [feed for feed in feeds if feed in self._tails]
        if followed:
            self._grown.update(dict.fromkeys(followed))
            self._hinted.set()

    def offer(self, feed: str, notification: Notification) -> None:
        """This was just stored, so it need not be read; if something before it is not known yet, all of it is read."""
        tail = self._tails.get(feed)
        if tail is None or (tail.position is not None and tail.position >= notification.seq):
            return
        if tail.position == notification.seq - 1:
            self._extend(tail, [notification])
        else:
            self.hint([feed])

    def look_everywhere(self) -> None:
        """Hints may have been lost: compare every feed with the database."""
        self._poll_due = True
        self._hinted.set()

    async def run(self) -> None:
        """Read what was hinted at, and look everywhere now and then, until cancelled."""
        clock = asyncio.get_running_loop().time
        next_poll = clock() + self._poll_every
        while True:
            try:
                async with asyncio.timeout_at(next_poll):
                    await self._hinted.wait()
            except TimeoutError:
                self._poll_due = True
            self._hinted.clear()
            try:
                if self._poll_due:
                    self._poll_due = False
                    next_poll = clock() + self._poll_every
                    await self._poll()
                while self._grown:
                    await self._read()
            except Exception as error:  # whatever it was, everybody's pushes depend on this loop going on
                log.warning("feeds.not_read", error=f"{type(error).__name__}: {error}")
                self.look_everywhere()
                await asyncio.sleep(TRY_AGAIN_AFTER.total_seconds())

    async def _poll(self) -> None:
        feeds = list(self._tails)
        for start in range(0, len(feeds), FEEDS_PER_POLL):
            newest = await self._store.newest(feeds[start : start + FEEDS_PER_POLL])
            self._grown.update(dict.fromkeys(feed for feed, seq in newest.items() if self._is_behind(feed, seq)))

    def _is_behind(self, feed: str, newest: int) -> bool:
        tail = self._tails.get(feed)
        return tail is not None and tail.position is not None and tail.position < newest

    async def _read(self) -> None:
        feeds = list(islice(self._grown, FEEDS_PER_READ))
        for feed in feeds:
            del self._grown[feed]
        tails = [self._tails[feed] for feed in feeds if feed in self._tails]
        # A tail nobody has looked at yet is hinted at again as soon as somebody has.
        positions = {tail.feed: tail.position for tail in tails if tail.position is not None}
        if not positions:
            return
        found = await self._store.read_many(positions, limit=ROWS_PER_FEED)
        for tail in tails:
            new = found.get(tail.feed, [])
            if len(new) == ROWS_PER_FEED:
                self.hint([tail.feed])
            # Some of it may have been offered in the meantime.
            self._extend(tail, [one for one in new if tail.position is None or one.seq > tail.position])

    def _extend(self, tail: Tail, new: Sequence[Notification]) -> None:
        tail.append(new)
        for notification in new:
            self._metrics.push_seconds.observe(max(0.0, time.time() - notification.occurred_at.timestamp()))
