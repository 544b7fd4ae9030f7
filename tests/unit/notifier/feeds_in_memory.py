"""Feeds without a database, for rules that hold whatever the database does; each answer comes a few turns later."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ratchet.notifications import FeedState, NewNotification, Notification, Reader

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def notification(seq: int, kind: str = "WORKFLOW_COMPLETED", data: str = "{}") -> Notification:
    return Notification(seq, kind, NOW, data)


@dataclass
class FeedsInMemory:
    """Fulfils `ratchet.notifications.FeedStore` for one feed."""

    turns: Callable[[], int] = lambda: 0
    rows: list[Notification] = field(default_factory=list)
    pruned: int = 0
    acknowledged: dict[Reader, int] = field(default_factory=dict)
    muted: dict[Reader, frozenset[str]] = field(default_factory=dict)
    reads: int = 0
    is_away: bool = False

    def grow(self, count: int = 1) -> None:
        for _ in range(count):
            self.rows.append(notification(self.newest_number + 1))

    def forget(self, up_to: int) -> None:
        self.pruned = max(self.pruned, min(up_to, self.newest_number))

    @property
    def newest_number(self) -> int:
        return len(self.rows)

    async def _answer(self) -> None:
        for _ in range(self.turns()):
            await asyncio.sleep(0)
        if self.is_away:
            raise ConnectionError("the database is away")

    async def store(self, new: NewNotification) -> dict[str, int]:
        await self._answer()
        self.rows.append(notification(self.newest_number + 1, new.type.value, new.data))
        return dict.fromkeys(new.feeds, self.newest_number)

    async def state(self, reader: Reader) -> FeedState:
        await self._answer()
        muted = self.muted.get(reader, frozenset())
        state = FeedState(self.newest_number, self.pruned, self.acknowledged.get(reader), muted)
        for _ in range(self.turns()):
            await asyncio.sleep(0)
        return state

    async def read(self, feed: str, *, after: int, limit: int) -> list[Notification]:
        return (await self.read_many({feed: after}, limit=limit)).get(feed, [])

    async def read_many(self, positions: Mapping[str, int], *, limit: int) -> dict[str, list[Notification]]:
        self.reads += 1
        await self._answer()
        found = {feed: self.rows[max(after, self.pruned) :][:limit] for feed, after in positions.items()}
        for _ in range(self.turns()):
            await asyncio.sleep(0)
        return {feed: rows for feed, rows in found.items() if rows}

    async def newest(self, feeds: Sequence[str]) -> dict[str, int]:
        await self._answer()
        return dict.fromkeys(feeds, self.newest_number) if self.rows else {}

    async def acknowledge(self, positions: Mapping[Reader, int]) -> None:
        await self._answer()
        for reader, position in positions.items():
            self.acknowledged[reader] = max(self.acknowledged.get(reader, 0), min(position, self.newest_number))

    async def mute(self, reader: Reader, types: Collection[str]) -> None:
        await self._answer()
        self.muted[reader] = frozenset(types)

    async def prune(self, *, kept_for: timedelta) -> int:
        raise AssertionError("retention is tested on Postgres; nothing may prune a feed in memory")
