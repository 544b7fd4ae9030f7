"""Feeds in Postgres: numbering under a row lock, so that a cursor never skips what is committed late."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import asyncpg

from ratchet.adapters.postgres import feed_pruning
from ratchet.adapters.postgres.coalescer import Coalescer
from ratchet.notifications import FeedState, NewNotification, Notification, Reader

MAX_BATCH = 500
STORE_ATTEMPTS = 5

# One statement, so one round trip. Numbers come from the feed's row, whose lock is held until the commit: order of
# numbers = order of commits. Rows are locked in the order of their names, so writers cannot lock each other out.
_STORE = """
WITH incoming AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::jsonb[], $6::timestamptz[])
        WITH ORDINALITY AS event (feed, event_id, type, workflow_id, data, occurred_at, place)
), fresh AS (
    SELECT incoming.*,
        row_number() OVER (PARTITION BY feed ORDER BY place) AS nth,
        count(*) OVER (PARTITION BY feed) AS growth
    FROM incoming
    WHERE NOT EXISTS (
        SELECT FROM notifications known WHERE known.feed = incoming.feed AND known.event_id = incoming.event_id
    )
), counted AS (
    INSERT INTO user_feeds (feed, newest)
    SELECT feed, growth FROM fresh WHERE nth = 1 ORDER BY feed
    ON CONFLICT (feed) DO UPDATE SET newest = user_feeds.newest + excluded.newest
    RETURNING feed, newest
)
INSERT INTO notifications (feed, seq, event_id, type, workflow_id, data, occurred_at)
SELECT feed, newest - growth + nth, event_id, type, workflow_id, data, occurred_at
FROM fresh JOIN counted USING (feed)
RETURNING feed, seq, event_id
"""

_STATE = """
SELECT coalesce(newest, 0) AS newest, coalesce(pruned, 0) AS pruned, acknowledged, coalesce(muted, '{}') AS muted
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (feed, reader, place)
LEFT JOIN user_feeds USING (feed)
LEFT JOIN feed_readers USING (feed, reader)
ORDER BY place
"""

_READ_MANY = """
SELECT known.feed, new.*
FROM unnest($1::text[], $2::bigint[]) AS known (feed, position)
CROSS JOIN LATERAL (
    SELECT seq, type, occurred_at, data::text AS data FROM notifications
    WHERE notifications.feed = known.feed AND seq > known.position ORDER BY seq LIMIT $3
) new
ORDER BY known.feed, new.seq
"""

_NEWEST = "SELECT feed, newest FROM user_feeds WHERE feed = ANY($1::text[])"

_ACKNOWLEDGE = """
INSERT INTO feed_readers (feed, reader, acknowledged)
SELECT feed, reader, least(position, newest)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS read (feed, reader, position)
JOIN user_feeds USING (feed)
WHERE newest > 0
ORDER BY feed, reader
ON CONFLICT (feed, reader) DO UPDATE SET acknowledged = greatest(feed_readers.acknowledged, excluded.acknowledged)
"""


_MUTE = """
INSERT INTO feed_readers (feed, reader, muted) VALUES ($1, $2, $3)
ON CONFLICT (feed, reader) DO UPDATE SET muted = excluded.muted
"""


class PostgresFeeds:
    """`ratchet.notifications.FeedStore` on an asyncpg pool that stays the caller's."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._storing: Coalescer[NewNotification, dict[str, int]] = Coalescer(
            self._store, key=lambda notification: notification.event_id, limit=MAX_BATCH
        )
        self._asking: Coalescer[Reader, FeedState] = Coalescer(
            self._states, key=lambda _reading: object(), limit=MAX_BATCH, lanes=2
        )

    async def store(self, notification: NewNotification) -> dict[str, int]:
        """Keep an event in its feeds, once; its number in each, or nothing if it was there already."""
        return await self._storing.submit(notification)

    async def state(self, reader: Reader) -> FeedState:
        """A feed that was never written to is empty."""
        return await self._asking.submit(reader)

    async def read(self, feed: str, *, after: int, limit: int) -> list[Notification]:
        """The oldest notifications that are kept above `after`, in order."""
        return (await self.read_many({feed: after}, limit=limit)).get(feed, [])

    async def read_many(self, positions: Mapping[str, int], *, limit: int) -> dict[str, list[Notification]]:
        """For each feed what `read` would answer; feeds with nothing new are left out."""
        rows = await self._pool.fetch(_READ_MANY, list(positions), list(positions.values()), limit)
        found: dict[str, list[Notification]] = {}
        for feed, seq, kind, occurred_at, data in rows:
            found.setdefault(feed, []).append(Notification(seq, kind, occurred_at, data))
        return found

    async def newest(self, feeds: Sequence[str]) -> dict[str, int]:
        """The newest number of each feed that was ever written to."""
        return {row["feed"]: row["newest"] for row in await self._pool.fetch(_NEWEST, list(feeds))}

    async def acknowledge(self, positions: Mapping[Reader, int]) -> None:
        """Remember how far each reader got: never backwards, never beyond the newest."""
        await self._pool.execute(_ACKNOWLEDGE, *_readers(positions), list(positions.values()))

    async def mute(self, reader: Reader, types: Collection[str]) -> None:
        """From now on push everything to this reader except events of these types."""
        await self._pool.execute(_MUTE, reader.feed, reader.subject, sorted(types))

    async def prune(self, *, kept_for: timedelta) -> int:
        """Delete what was stored longer ago, in batches; returns how many notifications went. Numbers are kept."""
        return await feed_pruning.prune(self._pool, kept_for)

    async def _store(self, batch: list[NewNotification]) -> list[dict[str, int]]:
        rows = await self._insert(_columns(batch))
        numbers: dict[str, dict[str, int]] = {new.event_id: {} for new in batch}
        for feed, seq, event_id in rows:
            numbers[event_id][feed] = seq
        return list(numbers.values())

    async def _insert(self, columns: list[list[object]]) -> list[asyncpg.Record]:
        for _ in range(STORE_ATTEMPTS - 1):
            # Another notifier may store one of these at the same moment; the next look sees it.
            with suppress(asyncpg.UniqueViolationError):
                return await self._pool.fetch(_STORE, *columns)
        return await self._pool.fetch(_STORE, *columns)

    async def _states(self, batch: list[Reader]) -> list[FeedState]:
        rows = await self._pool.fetch(_STATE, *_readers(batch))
        return [FeedState(row["newest"], row["pruned"], row["acknowledged"], frozenset(row["muted"])) for row in rows]


def _readers(readers: Iterable[Reader]) -> tuple[list[str], list[str]]:
    readers = list(readers)
    return [reader.feed for reader in readers], [reader.subject for reader in readers]


def _columns(batch: Sequence[NewNotification]) -> list[list[object]]:
    entries = [(feed, new) for new in batch for feed in new.feeds]
    return [
        [feed for feed, _new in entries],
        [new.event_id for _feed, new in entries],
        [new.type.value for _feed, new in entries],
        [new.workflow_id for _feed, new in entries],
        [new.data for _feed, new in entries],
        [new.occurred_at for _feed, new in entries],
    ]
