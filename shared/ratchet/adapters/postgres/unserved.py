"""Workflows that nobody can run now: set aside where people look, and sent for once somebody can."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from ratchet.adapters.postgres.presence import served
from ratchet.adapters.postgres.recovery_store import POOL_OF, PostgresRecovery, PostgresTransaction
from ratchet.recovery_ports import Sleeper

_SERVED = served("w.definition", "w.version", POOL_OF)

# What is at rest at somebody else's word (a command, a person, a retry to come) is not held up by a missing executor.
# Which steps nobody serves is found out once, not for each workflow.
_SET_ASIDE = f"""
WITH unserved AS MATERIALIZED (
    SELECT d.name, d.version, (n - 1)::int AS index
    FROM workflow_definitions d, jsonb_array_elements(d.steps) WITH ORDINALITY AS place(step, n)
    WHERE NOT {served("d.name", "d.version", "coalesce(place.step ->> 'pool', 'default')")}
)
UPDATE workflow_instances w SET unserved_since = clock_timestamp()
FROM unserved u
WHERE w.definition = u.name AND w.version = u.version AND w.current_step_index = u.index AND unserved_since IS NULL
    AND ((status = 'Executing' AND lease_until < clock_timestamp())
        OR (status IN ('NotStarted', 'InProgress') AND (waiting_for IS NULL OR pending_inputs ? waiting_for)
            AND greatest(next_attempt_at, updated_at) < clock_timestamp() - $1::interval))
"""

# One that an executor left in the middle is the scan's, which counts it; the others just go on.
_WAKE = f"""
WITH ready AS MATERIALIZED (
    SELECT w.id, w.status NOT IN ('NotStarted', 'InProgress', 'Executing') AS is_over, {POOL_OF} AS pool
    FROM workflow_instances w
    WHERE w.unserved_since IS NOT NULL
        AND (w.status NOT IN ('NotStarted', 'InProgress', 'Executing') OR {_SERVED})
    ORDER BY w.unserved_since LIMIT $1 FOR UPDATE OF w SKIP LOCKED
)
UPDATE workflow_instances w SET unserved_since = NULL,
    updated_at = CASE WHEN r.is_over THEN w.updated_at ELSE clock_timestamp() END
FROM ready r WHERE w.id = r.id
RETURNING w.id AS workflow_id, w.command_id, w.correlation_id, r.pool,
    w.status IN ('NotStarted', 'InProgress') AND (w.waiting_for IS NULL OR w.pending_inputs ? w.waiting_for) AS is_woken
"""


class UnservedTransaction(PostgresTransaction):
    """Fulfils `recovery_ports.UnservedTransaction`."""

    async def set_aside(self, *, older_than: timedelta) -> int:
        """Those that nothing has happened to for this long, and that nobody can run; how many they were."""
        return int((await self._connection.execute(_SET_ASIDE, older_than)).split()[-1])

    async def wake(self, *, limit: int) -> list[Sleeper]:
        """Those that somebody can run by now are no longer set aside."""
        return [Sleeper(**row) for row in await self._connection.fetch(_WAKE, limit)]


class PostgresUnserved:
    """Fulfils `recovery_ports.UnservedStore`."""

    def __init__(self, recovery: PostgresRecovery) -> None:
        self._recovery = recovery

    def transaction(self) -> AbstractAsyncContextManager[UnservedTransaction]:
        """Everything within the block happens, or nothing; posted messages are published when it has."""
        return self._recovery.begin(UnservedTransaction)
