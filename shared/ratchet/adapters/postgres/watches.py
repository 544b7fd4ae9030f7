"""Recoveries that are watched until it is known whether they helped."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import asyncpg

from ratchet.adapters.postgres.recovery_store import PostgresRecovery, PostgresTransaction
from ratchet.domain.bulk_recovery import ItemOutcome
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.verification import INTERRUPTIONS, Following, Verdict
from ratchet.domain.workflow import WorkflowStatus
from ratchet.ports import MessagePublisher
from ratchet.recovery_ports import OpenRecovery

# Progress belongs to the recovery that came last before it, so the next one's number of checkpoints bounds it. Only
# what can be decided is taken: recoveries that stay open for days must not stand before the others.
_DECIDED = """
SELECT * FROM (
    SELECT r.id, r.workflow_id, w.owner_id, r.kind, r.correlation_id, r.awaited_step, w.status::text AS status,
        w.failure_reason, n.kind AS next_kind, n.status_before::text AS next_status, EXISTS (
            SELECT FROM checkpoints c
            WHERE c.workflow_id = r.workflow_id AND c.seq > r.since_seq AND c.step_id = r.awaited_step
                AND NOT c.skipped AND c.seq <= coalesce(n.since_seq, c.seq)
        ) AS passed
    FROM recovery_watches o
    JOIN recovery_attempts r ON r.id = o.recovery_id
    JOIN workflow_instances w ON w.id = r.workflow_id
    LEFT JOIN LATERAL (
        SELECT x.kind, x.status_before, x.since_seq FROM recovery_attempts x
        WHERE x.workflow_id = r.workflow_id AND x.attempted_at > r.attempted_at
            AND x.outcome <> 'refused' AND x.kind NOT IN ('pause', 'resume')
            AND NOT (x.kind = ANY ($2::text[]) AND x.status_before IS DISTINCT FROM 'Failed')
        ORDER BY x.attempted_at LIMIT 1
    ) n ON true
) AS watched
WHERE passed OR next_kind IS NOT NULL OR status IN ('Failed', 'Completed', 'Cancelled')
LIMIT $1
"""

_LOCK = """
SELECT recovery_id FROM recovery_watches WHERE recovery_id = ANY ($1::text[])
ORDER BY recovery_id FOR UPDATE SKIP LOCKED
"""

_SETTLE = """
WITH settled AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) AS s(id, workflow_id, kind, verdict)
), unwatched AS (
    DELETE FROM recovery_watches o USING settled s WHERE o.recovery_id = s.id
)
INSERT INTO recovery_verdicts (recovery_id, workflow_id, kind, verdict)
SELECT id, workflow_id, kind, verdict FROM settled ON CONFLICT (recovery_id) DO NOTHING
"""

_SETTLE_ITEMS = """
UPDATE bulk_recovery_items i SET outcome = s.outcome, detail = s.detail
FROM unnest($1::text[], $2::text[], $3::text[]) AS s(id, outcome, detail)
WHERE i.recovery_id = s.id AND i.outcome = 'started'
"""

_ITEM_OUTCOMES = {
    Verdict.VERIFIED: ItemOutcome.VERIFIED,
    Verdict.RELAPSED: ItemOutcome.RELAPSED,
    Verdict.SUPERSEDED: ItemOutcome.SKIPPED,
}


class PostgresWatchTransaction(PostgresTransaction):
    """Fulfils `recovery_ports.WatchTransaction`."""

    async def lock_decided(self, *, limit: int) -> list[OpenRecovery]:
        """Open recoveries that something has happened to since."""
        rows = await self._connection.fetch(_DECIDED, limit, sorted(INTERRUPTIONS))
        # Locked afterwards: what made them decidable cannot be undone, so only double work is to be avoided.
        locked = await self._connection.fetch(_LOCK, [row["id"] for row in rows]) if rows else []
        ours = {row["recovery_id"] for row in locked}
        return [_open(row) for row in rows if row["id"] in ours]

    async def settle(self, verdicts: Sequence[tuple[OpenRecovery, Verdict]]) -> None:
        """Keep the verdicts, also for the bulk recoveries that these belong to."""
        if not verdicts:
            return
        ids = [item.id for item, _verdict in verdicts]
        await self._connection.execute(
            _SETTLE,
            ids,
            [item.workflow_id for item, _verdict in verdicts],
            [item.kind.value for item, _verdict in verdicts],
            [verdict.value for _item, verdict in verdicts],
        )
        await self._connection.execute(
            _SETTLE_ITEMS,
            ids,
            [_ITEM_OUTCOMES[verdict].value for _item, verdict in verdicts],
            [_why(item, verdict) for item, verdict in verdicts],
        )


class PostgresWatches:
    """Fulfils `recovery_ports.WatchStore`."""

    def __init__(self, pool: asyncpg.Pool, publisher: MessagePublisher) -> None:
        self._store = PostgresRecovery(pool, publisher)

    def transaction(self) -> AbstractAsyncContextManager[PostgresWatchTransaction]:
        """Commit at the end of the block, then publish what was posted."""
        return self._store.begin(PostgresWatchTransaction)


def _open(row: asyncpg.Record) -> OpenRecovery:
    following = None
    if row["next_kind"] is not None:
        status = row["next_status"]
        following = Following(RecoveryKind(row["next_kind"]), None if status is None else WorkflowStatus(status))
    return OpenRecovery(
        id=row["id"],
        workflow_id=row["workflow_id"],
        owner_id=row["owner_id"],
        kind=RecoveryKind(row["kind"]),
        correlation_id=row["correlation_id"],
        awaited_step=row["awaited_step"],
        passed=row["passed"],
        status=WorkflowStatus(row["status"]),
        failure_reason=row["failure_reason"],
        following=following,
    )


def _why(item: OpenRecovery, verdict: Verdict) -> str | None:
    match verdict:
        case Verdict.VERIFIED:
            return None
        case Verdict.RELAPSED:
            return item.failure_reason or "It failed again"
        case Verdict.SUPERSEDED:
            return "Somebody took it in hand meanwhile"
