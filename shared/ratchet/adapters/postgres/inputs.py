"""The inputs of steps that wait for an upstream command; kept in the workflow's row, so one lock orders everything."""

from uuid import UUID

import asyncpg
import orjson

from ratchet.verdicts import InputsVerdict

_EXISTS = "SELECT EXISTS (SELECT FROM workflow_instances WHERE id = $1)"

_LOOK = """
SELECT w.status::text AS status, w.waiting_for, w.command_id, w.pending_inputs -> $2 ->> 'messageId' AS held_by,
    position.index < w.current_step_index AS is_done
FROM workflow_instances w
CROSS JOIN LATERAL (
    SELECT (n - 1)::int AS index
    FROM workflow_definitions d, jsonb_array_elements(d.steps) WITH ORDINALITY AS s(step, n)
    WHERE d.name = w.definition AND d.version = w.version AND s.step ->> 'id' = $2
) AS position
WHERE w.id = $1 FOR UPDATE OF w
"""

_KEEP = """
UPDATE workflow_instances
SET pending_inputs = pending_inputs || jsonb_build_object($2::text, $3::jsonb),
    waiting_for = CASE WHEN $4 THEN NULL ELSE waiting_for END,
    command_id = CASE WHEN $4 THEN $5 ELSE command_id END,
    updated_at = clock_timestamp()
WHERE id = $1
"""


async def exists(pool: asyncpg.Pool, workflow_id: UUID) -> bool:
    """Whether there is a workflow of that id."""
    return bool(await pool.fetchval(_EXISTS, workflow_id))


async def keep_inputs(
    pool: asyncpg.Pool, workflow_id: UUID, *, step_id: str, message_id: str, inputs: str
) -> InputsVerdict:
    """Keep a step's inputs; the first ones win. `DRIVES` means that `message_id` may now claim the workflow.

    Safe to repeat with the same message id.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOOK, workflow_id, step_id)
        if row is None:
            return InputsVerdict.UNKNOWN
        if row["held_by"] is not None or row["is_done"]:
            return InputsVerdict.DRIVES if row["command_id"] == message_id else InputsVerdict.IGNORED
        # A paused workflow keeps waiting; resuming it finds the inputs.
        wakes = row["waiting_for"] == step_id and row["status"] == "InProgress"
        kept = f'{{"messageId": {orjson.dumps(message_id).decode()}, "inputs": {inputs}}}'
        await connection.execute(_KEEP, workflow_id, step_id, kept, wakes, message_id)
        return InputsVerdict.DRIVES if wakes else InputsVerdict.KEPT
