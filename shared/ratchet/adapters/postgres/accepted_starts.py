"""Starts that the admin API has promised: kept with their message until an executor has taken them up."""

from collections.abc import Sequence

import asyncpg

from ratchet.adapters.postgres import outbox
from ratchet.adapters.postgres.presence import NEWEST
from ratchet.messages.commands import StartWorkflow
from ratchet.messages.envelope import Outgoing

# Without a version the newest that is served is meant; the executor resolves it again by the same rule.
_RESOLVE = f"""
SELECT version FROM ({NEWEST} WHERE d.name = $1 AND ($2::integer IS NULL OR d.version = $2) GROUP BY d.name) AS n
"""

_INSERT = """
INSERT INTO accepted_starts (workflow_id, definition, version, owner_id, content_hash, correlation_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workflow_id) DO NOTHING
RETURNING workflow_id
"""

_KNOWN = """
SELECT content_hash FROM workflow_instances WHERE id = $1
UNION ALL
SELECT content_hash FROM accepted_starts WHERE workflow_id = $1
UNION ALL
SELECT (document -> 'workflow' ->> 'content_hash')::bytea FROM archived_workflows WHERE workflow_id = $1
LIMIT 1
"""

_PRUNE = """
DELETE FROM accepted_starts WHERE workflow_id IN (
    SELECT a.workflow_id FROM accepted_starts a
    JOIN workflow_instances w ON w.id = a.workflow_id
    LIMIT $1
)
"""


class AcceptedStarts:
    """The promises and the messages that keep them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def resolve(self, definition: str, version: int | None) -> int | None:
        """The version that a start would get; None when no executor has registered such a definition."""
        newest: int | None = await self._pool.fetchval(_RESOLVE, definition, version)
        return newest

    async def accept(self, start: StartWorkflow, message: Outgoing, *, version: int) -> tuple[bool, Sequence[int]]:
        """Write promise and message in one transaction; returns the outbox rows to publish.

        The same content again is accepted again and writes nothing, also when its workflow is archived by now; other
        content under the same id is not accepted.
        """
        content_hash = start.content_hash()
        async with self._pool.acquire() as connection, connection.transaction():
            known = await connection.fetchval(_KNOWN, start.workflow_id)
            if known is None:
                new = await connection.fetchval(
                    _INSERT,
                    start.workflow_id,
                    start.definition,
                    version,
                    start.owner_id,
                    content_hash,
                    message.correlation_id,
                )
                if new is not None:
                    return True, await outbox.add(connection, [message])
                # Somebody else was quicker by a moment, and has committed by now.
                known = await connection.fetchval(_KNOWN, start.workflow_id)
            return known == content_hash, ()

    async def published(self, outbox_ids: Sequence[int]) -> None:
        """The messages were confirmed: their outbox rows can go."""
        await outbox.mark_published(self._pool, outbox_ids)

    async def prune(self, limit: int = 1000) -> int:
        """Forget promises that were kept; returns how many, at most `limit`."""
        return int((await self._pool.execute(_PRUNE, limit)).split()[-1])
