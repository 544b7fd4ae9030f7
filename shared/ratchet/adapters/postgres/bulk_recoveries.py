"""Advancing bulk recoveries: one batch at a time is held by one recovery service."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID, uuid5

import asyncpg
import orjson

from ratchet.adapters.postgres import audit
from ratchet.adapters.postgres.audit import AuditEntry
from ratchet.adapters.postgres.engine import Connection
from ratchet.adapters.postgres.recovery_store import (
    PostgresRecovery,
    PostgresTransaction,
    checkpoints_of_all,
    lock_all,
)
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome, Progress
from ratchet.domain.recovery import SYSTEM, StoredCheckpoint
from ratchet.messages.envelope import Outgoing
from ratchet.ports import MessagePublisher, RecoveryRecord, WorkflowRow
from ratchet.recovery_ports import BulkItem, BulkRequest, ItemResult

_RUNNING = "SELECT id FROM bulk_recoveries WHERE state = 'running' ORDER BY requested_at"

_LOCK = """
SELECT id, actor, reason, canary, correlation_id, rate FROM bulk_recoveries
WHERE id = $1 AND state = 'running' FOR UPDATE SKIP LOCKED
"""

PROGRESS = "SELECT outcome, count(*) AS items FROM bulk_recovery_items WHERE bulk_id = $1 GROUP BY outcome"

_PENDING = """
SELECT position, workflow_id FROM bulk_recovery_items
WHERE bulk_id = $1 AND outcome = 'pending' ORDER BY position LIMIT $2
"""

_KEEP = """
UPDATE bulk_recovery_items i SET outcome = r.outcome, recovery_id = r.recovery_id, detail = r.detail
FROM unnest($2::int[], $3::text[], $4::text[], $5::text[]) AS r(position, outcome, recovery_id, detail)
WHERE i.bulk_id = $1 AND i.position = r.position
"""

END = """
UPDATE bulk_recoveries SET state = $2, detail = $3, finished_at = clock_timestamp() WHERE id = $1 AND state = 'running'
"""

SKIP_REST = """
UPDATE bulk_recovery_items SET outcome = 'skipped', detail = $2 WHERE bulk_id = $1 AND outcome = 'pending'
"""


class PostgresBulkTransaction(PostgresTransaction):
    """Fulfils `recovery_ports.BulkTransaction`.

    What the items of one step need is read at once, and what they lead to is written at once.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._rows: dict[UUID, WorkflowRow] = {}
        self._checkpoints: dict[UUID, list[StoredCheckpoint]] = {}
        self._records: list[RecoveryRecord] = []
        self._messages: list[Outgoing] = []

    async def lock_bulk(self, bulk_id: UUID) -> tuple[BulkRequest, Progress] | None:
        """The batch with its progress; None when it is over or held by another recovery service."""
        row = await self._connection.fetchrow(_LOCK, bulk_id)
        if row is None:
            return None
        return BulkRequest(**row), progress_of(await self._connection.fetch(PROGRESS, bulk_id))

    async def pending_items(self, bulk_id: UUID, *, limit: int) -> list[BulkItem]:
        """The next items, in the order of the selection."""
        rows = await self._connection.fetch(_PENDING, bulk_id, limit)
        ids = [row["workflow_id"] for row in rows]
        self._rows = await lock_all(self._connection, ids)
        self._checkpoints = await checkpoints_of_all(self._connection, ids)
        return [
            BulkItem(row["position"], row["workflow_id"], str(uuid5(bulk_id, str(row["workflow_id"])))) for row in rows
        ]

    async def lock(self, workflow_id: UUID) -> WorkflowRow | None:
        """An item's workflow; it was locked with the others."""
        return self._rows.get(workflow_id)

    async def checkpoints_of(self, workflow_id: UUID) -> list[StoredCheckpoint]:
        """Every checkpoint of an item's workflow."""
        return self._checkpoints[workflow_id]

    async def record(self, records: Sequence[RecoveryRecord]) -> None:
        """Written with the items."""
        self._records.extend(records)

    async def post(self, messages: Sequence[Outgoing]) -> None:
        """Written with the items."""
        self._messages.extend(messages)

    async def keep_items(self, bulk_id: UUID, results: Sequence[ItemResult]) -> None:
        """Keep what came of items, with all that they led to."""
        await super().record(self._records)
        await super().post(self._messages)
        self._records, self._messages = [], []
        await self._connection.execute(
            _KEEP,
            bulk_id,
            [result.item.position for result in results],
            [result.outcome.value for result in results],
            [None if result.outcome is ItemOutcome.SKIPPED else result.item.recovery_id for result in results],
            [None if result.detail is None else result.detail[:500] for result in results],
        )

    async def end_bulk(self, bulk: BulkRequest, state: BulkState, detail: str | None) -> None:
        """The batch is over: items that were not begun are skipped; it is audited."""
        await self._connection.execute(END, bulk.id, state.value, detail)
        await self._connection.execute(SKIP_REST, bulk.id, f"Not begun: the batch was {state} before its turn")
        progress = progress_of(await self._connection.fetch(PROGRESS, bulk.id))
        entry = AuditEntry(
            actor=SYSTEM,
            action="bulk-recover",
            outcome=state.value,
            correlation_id=bulk.correlation_id,
            reason=detail or bulk.reason,
            before={"bulkId": str(bulk.id), "state": BulkState.RUNNING.value},
            after={"bulkId": str(bulk.id), "state": state.value, **_counts(progress)},
        )
        await audit.append(self._connection, entry)


class PostgresBulk:
    """Fulfils `recovery_ports.BulkStore`."""

    def __init__(self, pool: asyncpg.Pool, publisher: MessagePublisher) -> None:
        self._pool = pool
        self._store = PostgresRecovery(pool, publisher)

    async def running(self) -> list[UUID]:
        """Batches that are not over, the oldest first."""
        return [row["id"] for row in await self._pool.fetch(_RUNNING)]

    def transaction(self) -> AbstractAsyncContextManager[PostgresBulkTransaction]:
        """Commit at the end of the block, then publish what was posted."""
        return self._store.begin(PostgresBulkTransaction)


def progress_of(rows: Sequence[asyncpg.Record]) -> Progress:
    """Counts by outcome."""
    return Progress(**{row["outcome"]: row["items"] for row in rows})


def _counts(progress: Progress) -> dict[str, int]:
    counts: dict[str, int] = orjson.loads(orjson.dumps(progress))
    return counts
