"""Retries whose time has come and whose command has not: the row knows when it is due, whatever the broker says."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import asyncpg

from ratchet.adapters.postgres.recovery_store import POOL_OF, PostgresRecovery
from ratchet.ports import RecoveryTransaction
from ratchet.recovery_ports import LateRetry

_ANY = """
SELECT EXISTS (SELECT FROM workflow_instances
    WHERE next_attempt_at < clock_timestamp() - $1::interval AND status = 'InProgress')
"""

# The time that was told stands with the attempt; a step that is held back for another reason was told nothing.
_OVERDUE = f"""
SELECT w.id AS workflow_id, w.owner_id, w.correlation_id, w.command_id, w.current_step AS step, w.retry_count,
    pool.name AS pool, w.next_attempt_at AS due_at, clock_timestamp() - w.next_attempt_at AS late_by,
    (SELECT jsonb_array_length(nullif(d.steps -> w.current_step_index -> 'retry', 'null'))
        FROM workflow_definitions d WHERE d.name = w.definition AND d.version = w.version) AS own_retries,
    (SELECT a.reason FROM step_attempts a WHERE a.workflow_id = w.id AND a.step_id = w.current_step
        AND abs(extract(epoch FROM a.next_attempt_at - w.next_attempt_at)) < 1 ORDER BY a.id DESC LIMIT 1) AS reason
FROM workflow_instances w CROSS JOIN LATERAL (SELECT {POOL_OF} AS name) AS pool
WHERE w.next_attempt_at < clock_timestamp() - $1::interval AND w.status = 'InProgress' AND w.waiting_for IS NULL
    AND w.unserved_since IS NULL AND pool.name = ANY ($2::text[])
ORDER BY w.next_attempt_at LIMIT $3
"""


class PostgresOverdue:
    """Fulfils `recovery_ports.OverdueStore`."""

    def __init__(self, pool: asyncpg.Pool, recovery: PostgresRecovery) -> None:
        self._pool = pool
        self._recovery = recovery

    async def is_any(self, *, by: timedelta) -> bool:
        """Whether any retry is overdue by so much; asked often, and answered by an index."""
        return bool(await self._pool.fetchval(_ANY, by))

    async def overdue(self, pools: Sequence[str], *, by: timedelta, limit: int) -> list[LateRetry]:
        """Retries of these pools that are overdue by so much, the latest ones first."""
        return [LateRetry(**row) for row in await self._pool.fetch(_OVERDUE, by, list(pools), limit)]

    def transaction(self) -> AbstractAsyncContextManager[RecoveryTransaction]:
        """For telling people; posted messages are published when the block has ended."""
        return self._recovery.transaction()
