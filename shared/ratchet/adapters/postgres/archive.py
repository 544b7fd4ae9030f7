"""Moving finished workflows out of the way, a few at a time, and looking at one that was."""

from datetime import timedelta
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres.engine import Connection

_ARCHIVE = "SELECT archive_finished($1, $2)"

_IS_LIVE = "SELECT EXISTS (SELECT FROM workflow_instances WHERE id = $1)"

_TABLES = ("checkpoints", "step_attempts", "recovery_attempts", "recovery_verdicts")
_PARTS = ("checkpoints", "attempts", "recoveries", "verdicts")

LIVE = ""

ARCHIVED = """archived AS (
    SELECT document FROM archived_workflows WHERE workflow_id = $1 ORDER BY id DESC LIMIT 1
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


class PostgresArchive:
    """Fulfils `recovery_ports.Archive`. One short statement for each batch; rows that anybody works on are left."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def archive_some(self, *, older_than: timedelta, limit: int) -> int:
        """Move up to `limit` workflows that were finished longer ago, with all that belongs to them."""
        return int(await self._pool.fetchval(_ARCHIVE, older_than, limit))
