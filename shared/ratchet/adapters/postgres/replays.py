"""Whether a replay helped: what shows that a command was carried out, looked for until it does."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres.engine import Connection
from ratchet.domain.replay import CARRIED_OUT, PARKED_AGAIN, SENT, UNKNOWN, Awaited, awaited_of

GIVEN_UP_AFTER = timedelta(days=1)

_OPEN = """
SELECT id, message_id, routing_key, body, resolved_at,
    resolved_at < clock_timestamp() - $2::interval AS is_old
FROM parked_messages WHERE resolution = 'replayed' AND outcome IS NULL AND ($1::uuid IS NULL OR id = $1)
ORDER BY resolved_at LIMIT 200
"""

# What died a second time has a row of its own.
_AGAIN = """
SELECT EXISTS (SELECT FROM parked_messages p
    WHERE p.message_id = $1 AND p.id <> $2 AND p.body = $3 AND p.parked_at > $4)
"""

_STARTED = """
SELECT count(*) = cardinality($1::uuid[]) FROM unnest($1::uuid[]) AS wanted(id)
WHERE EXISTS (SELECT FROM workflow_instances w WHERE w.id = wanted.id)
    OR EXISTS (SELECT FROM archived_workflows a WHERE a.workflow_id = wanted.id)
"""

_TAKEN = """
SELECT w.pending_inputs ? $2 OR w.command_id = $3 OR EXISTS (SELECT FROM checkpoints c
    WHERE c.workflow_id = w.id AND c.step_id = $2) OR EXISTS (SELECT FROM step_attempts s
    WHERE s.workflow_id = w.id AND s.step_id = $2)
FROM workflow_instances w WHERE w.id = $1
"""

_DECIDED = "SELECT EXISTS (SELECT FROM recovery_attempts WHERE id = $1)"

_KEEP = """
UPDATE parked_messages SET outcome = $2, outcome_at = clock_timestamp()
WHERE id = $1 AND resolution = 'replayed' AND outcome IS NULL
"""


async def settle_replays(connection: Connection | asyncpg.Pool, parked_id: UUID | None = None) -> int:
    """Keep what has come of replays since; of one, or of any. How many were settled. Safe to repeat."""
    settled = 0
    for row in await connection.fetch(_OPEN, parked_id, GIVEN_UP_AFTER):
        outcome = await _outcome(connection, row)
        if outcome is None and row["is_old"]:
            outcome = UNKNOWN
        if outcome is not None:
            await connection.execute(_KEEP, row["id"], outcome)
            settled += 1
    return settled


async def _outcome(connection: Connection | asyncpg.Pool, row: asyncpg.Record) -> str | None:
    message_id = row["message_id"] or str(row["id"])
    if await connection.fetchval(_AGAIN, message_id, row["id"], row["body"], row["resolved_at"]):
        return PARKED_AGAIN
    awaited = awaited_of(row["routing_key"], row["body"])
    if awaited is None:
        return SENT
    return CARRIED_OUT if await _is_there(connection, awaited, message_id) else None


async def _is_there(connection: Connection | asyncpg.Pool, awaited: Awaited, message_id: str) -> bool:
    ids: Sequence[UUID] = awaited.workflows
    if awaited.step is not None:
        return bool(await connection.fetchval(_TAKEN, ids[0], awaited.step, message_id))
    if ids:
        return bool(await connection.fetchval(_STARTED, list(ids)))
    return bool(await connection.fetchval(_DECIDED, message_id))
