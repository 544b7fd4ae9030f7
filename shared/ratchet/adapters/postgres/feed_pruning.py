"""Pruning feeds: from the oldest on, a batch in each transaction, so that what is kept never has a hole."""

import asyncio
from datetime import timedelta

import asyncpg

from ratchet.adapters.postgres.locks import Lock, try_in_transaction

FEEDS_AT_ONCE = 100
ROWS_OF_A_FEED = 200
BREATH = timedelta(milliseconds=20)
"""Between batches, so that writers waiting for the same feeds get their turn."""

_FEEDS = "SELECT feed FROM user_feeds WHERE feed > $1 AND newest > pruned ORDER BY feed LIMIT $2"

# Numbers are given in the order of storing, so the oldest rows of a feed are those with the lowest numbers.
_BOUNDS = """
SELECT asked.feed, old.seq
FROM unnest($1::text[]) AS asked (feed)
CROSS JOIN LATERAL (
    SELECT max(seq) AS seq FROM (
        SELECT seq, stored_at FROM notifications WHERE notifications.feed = asked.feed ORDER BY seq LIMIT $3
    ) oldest WHERE stored_at < clock_timestamp() - $2::interval
) old
WHERE old.seq IS NOT NULL
"""

# In the order in which writers lock them.
_LOCK = "SELECT feed FROM user_feeds WHERE feed = ANY($1::text[]) ORDER BY feed FOR UPDATE"

_PRUNE = """
WITH bounds AS (
    SELECT * FROM unnest($1::text[], $2::bigint[]) AS bound (feed, seq)
), gone AS (
    DELETE FROM notifications USING bounds
    WHERE notifications.feed = bounds.feed AND notifications.seq <= bounds.seq
    RETURNING 1
), marked AS (
    UPDATE user_feeds SET pruned = bounds.seq FROM bounds
    WHERE user_feeds.feed = bounds.feed AND user_feeds.pruned < bounds.seq
)
SELECT count(*) FROM gone
"""


async def prune(pool: asyncpg.Pool, kept_for: timedelta) -> int:
    """Delete what was stored longer ago; returns how many rows went. Safe to repeat, and from several processes."""
    total, last = 0, ""
    while True:
        feeds = [row["feed"] for row in await pool.fetch(_FEEDS, last, FEEDS_AT_ONCE)]
        if not feeds:
            return total
        while gone := await _prune_batch(pool, feeds, kept_for):
            total += gone
            await asyncio.sleep(BREATH.total_seconds())
        last = feeds[-1]


async def _prune_batch(pool: asyncpg.Pool, feeds: list[str], kept_for: timedelta) -> int:
    # What is old stays old, so finding it needs no lock, and feeds without anything old are left alone.
    bounds = await pool.fetch(_BOUNDS, feeds, kept_for, ROWS_OF_A_FEED)
    if not bounds:
        return 0
    old = [row["feed"] for row in bounds]
    async with pool.acquire() as connection, connection.transaction():
        # Two notifiers that prune at the same time would only do each other's work again.
        if not await try_in_transaction(connection, Lock.FEED_PRUNING):
            return 0
        await connection.fetch(_LOCK, old)
        return int(await connection.fetchval(_PRUNE, old, [row["seq"] for row in bounds]))
