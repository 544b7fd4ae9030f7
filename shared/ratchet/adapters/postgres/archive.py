"""Moving old workflows out of the way, a few at a time; looking at one that was, and bringing it back."""

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg

from ratchet.adapters.postgres.audit import AuditEntry, append
from ratchet.adapters.postgres.engine import Connection
from ratchet.domain.recovery import SYSTEM
from ratchet.messages.envelope import iso

_ARCHIVE = "SELECT archive_old($1, $2, $3)"

_PURGE = "SELECT * FROM purge_archive($1, $2)"

_BRING_BACK = "SELECT bring_back_archived($1)"

PURGE = "purge"
"""The audit's word for what was deleted from the archive because of its age."""

_IS_LIVE = "SELECT EXISTS (SELECT FROM workflow_instances WHERE id = $1)"

_TABLES = ("checkpoints", "step_attempts", "recovery_attempts", "recovery_verdicts")
_PARTS = ("checkpoints", "attempts", "recoveries", "verdicts")

LIVE = ""

ARCHIVED = """archived AS (
    SELECT document FROM archived_workflows
    WHERE workflow_id = $1 AND purged_at IS NULL ORDER BY id DESC LIMIT 1
), workflow_instances AS (
    SELECT r.* FROM archived, jsonb_populate_record(NULL::workflow_instances, document -> 'workflow') AS r
), """ + ", ".join(
    f"""{table} AS (
    SELECT r.* FROM archived, jsonb_populate_recordset(NULL::{table}, document -> '{part}') AS r
)"""
    for table, part in zip(_TABLES, _PARTS, strict=True)
)
"""The tables of one workflow ($1) as they were when it was archived, under their own names.

After `WITH` a question about live workflows so is one about archived ones, in the columns of today.
"""


async def tables_of(connection: Connection, workflow_id: UUID) -> str:
    """What to put before a question about this workflow: `LIVE`, or what leads it to the archive."""
    return LIVE if await connection.fetchval(_IS_LIVE, workflow_id) else f"WITH {ARCHIVED}"


async def bring_back(connection: Connection, workflow_id: UUID) -> bool:
    """Put an archived workflow where live ones are, with all that belongs to it; whether there was one."""
    return bool(await connection.fetchval(_BRING_BACK, workflow_id))


class PostgresArchive:
    """Fulfils `recovery_ports.Archive`. One short statement for each batch; rows that anybody works on are left."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def archive_some(self, *, finished: timedelta | None, failed: timedelta | None, limit: int) -> int:
        """Move up to `limit` that ended, and as many that failed, longer ago, with all that belongs to them."""
        return int(await self._pool.fetchval(_ARCHIVE, finished, failed, limit))

    async def purge_some(self, *, older_than: timedelta, limit: int) -> int:
        """Delete what was archived longer ago, but for ids and hashes; each with an audit entry, or not at all."""
        async with self._pool.acquire() as connection, connection.transaction():
            purged = await connection.fetch(_PURGE, older_than, limit)
            correlation_id = str(uuid4())
            for row in purged:
                await append(connection, _purged(row, correlation_id))
        return len(purged)


def _purged(row: asyncpg.Record, correlation_id: str) -> AuditEntry:
    return AuditEntry(
        actor=SYSTEM,
        action=PURGE,
        outcome="done",
        correlation_id=correlation_id,
        workflow_id=row["purged_id"],
        before={
            "definition": row["was_definition"],
            "version": row["was_version"],
            "status": row["was_status"],
            "archivedAt": iso(row["was_archived"]),
        },
    )
