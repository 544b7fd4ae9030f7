"""What is done by one process at a time keeps nobody else from what is done by one process at a time."""

from datetime import timedelta

import asyncpg
import pytest
from ratchet.adapters.postgres.feed_pruning import prune
from ratchet.adapters.postgres.locks import Lock, release_in_session, try_in_session, try_in_transaction
from ratchet.adapters.postgres.recovery_store import PostgresRecovery

from tests.integration.recovery.recovery_stage import Listener

OLD = """
WITH feed AS (INSERT INTO user_feeds (feed, newest) VALUES ('sarah', 3))
INSERT INTO notifications (feed, seq, event_id, type, workflow_id, data, occurred_at, stored_at)
SELECT 'sarah', n, gen_random_uuid()::text, 'T', gen_random_uuid(), '{}', now(), now() - interval '60 days'
FROM generate_series(1, 3) n
"""


async def test_pruning_removes_what_is_old_while_a_scan_is_running(pool: asyncpg.Pool) -> None:
    await pool.execute(OLD)
    async with PostgresRecovery(pool, Listener()).scanning() as is_ours:
        assert is_ours
        assert await prune(pool, timedelta(days=30)) == 3


async def test_a_scan_runs_while_feeds_are_pruned(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        assert await try_in_transaction(connection, Lock.FEED_PRUNING)
        async with PostgresRecovery(pool, Listener()).scanning() as is_ours:
            assert is_ours


@pytest.mark.parametrize("held", Lock)
async def test_a_lock_keeps_out_its_own_kind_alone(pool: asyncpg.Pool, held: Lock) -> None:
    async with pool.acquire() as holder, pool.acquire() as other:
        assert await try_in_session(holder, held)
        taken = {lock for lock in Lock if await try_in_session(other, lock)}
        assert taken == set(Lock) - {held}
        for lock in taken:
            await release_in_session(other, lock)
        await release_in_session(holder, held)
