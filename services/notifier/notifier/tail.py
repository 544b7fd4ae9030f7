"""The live end of one feed: its newest notifications, read from the database once for all who follow it here."""

import asyncio
from collections.abc import Sequence

from ratchet.notifications import Notification

KEPT = 256
"""Notifications kept in memory; whoever is further behind reads from the database."""


class Tail:
    """Followers hold nothing but a position, so a slow one costs no memory and misses nothing."""

    __slots__ = ("_recent", "_waiting", "feed", "followers", "position")

    def __init__(self, feed: str) -> None:
        self.feed = feed
        self.followers = 0
        self.position: int | None = None
        """The newest number known here; None until the feed was looked at."""
        self._recent: list[Notification] = []
        self._waiting: set[asyncio.Future[None]] = set()

    def start_at(self, position: int) -> None:
        """The first look at the feed; later looks change nothing."""
        if self.position is None:
            self.position = position

    def append(self, notifications: Sequence[Notification]) -> None:
        """Take what was read after `position`, in order, and wake who waits for it."""
        if not notifications:
            return
        if self.position is None or notifications[0].seq != self.position + 1:
            self._recent = []  # pruned in between: memory must stay without gaps
        self._recent.extend(notifications)
        if len(self._recent) > 2 * KEPT:
            self._recent = self._recent[-KEPT:]
        self.position = notifications[-1].seq
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def after(self, position: int) -> Sequence[Notification] | None:
        """What comes after `position`: empty if nothing is known, None if memory does not reach back so far."""
        if self.position is None:
            return None
        missing = self.position - position
        if missing <= 0:
            return ()
        return self._recent[-missing:] if missing <= len(self._recent) else None

    async def beyond(self, position: int) -> None:
        """Wait until something newer than `position` is known."""
        while self.position is None or self.position <= position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
