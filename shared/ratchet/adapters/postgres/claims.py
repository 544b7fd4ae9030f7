"""Claims: who may advance a workflow now. A claim is a fresh random token with a lease on the database's clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres.commits import COMMITS_OF
from ratchet.adapters.postgres.engine import Connection
from ratchet.adapters.postgres.locks import lives
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.ports import CheckpointMark, Claim, ClaimAnswer, ClaimRequest, ClaimVerdict

# Rows are locked in id order before anything is decided, so that batches of claims do not deadlock each other. A
# retry may be early by its jitter and no more; the row, not the queue, knows when it is due.
_CLAIM = f"""
WITH member AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::boolean[], $5::boolean[])
    AS m(id, command_id, token, redelivered, take_over)
), locked AS MATERIALIZED (
    SELECT w.id, w.status, w.command_id, w.waiting_for, w.recoveries_since_progress AS recoveries, w.claimed_by,
        w.claim_token, w.lease_until < clock_timestamp() AS expired, w.next_attempt_at - clock_timestamp() AS due_in
    FROM workflow_instances w JOIN member m USING (id) ORDER BY w.id FOR UPDATE OF w
), verdict AS (
    SELECT m.id, m.token, l.recoveries, l.due_in, CASE
        WHEN l.id IS NULL THEN 'unknown'
        WHEN l.command_id <> m.command_id OR l.waiting_for IS NOT NULL THEN 'stale'
        WHEN l.status IN ('NotStarted', 'InProgress') THEN
            CASE WHEN l.due_in > interval '50 milliseconds' THEN 'early' ELSE 'granted' END
        WHEN l.status <> 'Executing' THEN 'stale'
        WHEN l.claimed_by = $6 THEN 'granted'
        WHEN NOT (m.redelivered OR l.expired) THEN 'busy'
        WHEN NOT l.expired AND {lives("l.claimed_by")} THEN 'held'
        WHEN m.take_over AND l.recoveries < $8 THEN 'granted'
        ELSE 'abandoned' END AS verdict,
        l.status = 'Executing' AND l.claimed_by <> $6 AS is_takeover, l.claim_token AS held_by
    FROM member m LEFT JOIN locked l USING (id)
), claimed AS (
    UPDATE workflow_instances w
    SET status = 'Executing', claim_token = v.token, claimed_by = $6,
        lease_until = clock_timestamp() + $7::interval, next_attempt_at = NULL, unserved_since = NULL,
        updated_at = clock_timestamp(), recoveries_since_progress = w.recoveries_since_progress + v.is_takeover::int
    FROM verdict v WHERE w.id = v.id AND v.verdict = 'granted'
    RETURNING w.*
)
SELECT v.id AS member_id, v.token, v.verdict, coalesce(w.recoveries_since_progress, v.recoveries, 0) AS recoveries,
    v.due_in, v.held_by, w.definition, w.version, w.owner_id, w.correlation_id, w.current_step_index, w.current_step,
    w.retry_count, w.failed_attempts,
    CASE WHEN w.generation = 0 THEN 0 ELSE {COMMITS_OF.format(step="w.current_step")} END AS commits,
    w.last_seq, w.checkpoint_seq, w.input::text AS input,
    w.input_checksum, (w.pending_inputs -> w.current_step)::text AS inputs,
    c.state::text AS state, c.step_index, c.step_id, c.checksum, c.committed_at
FROM verdict v
LEFT JOIN claimed w ON w.id = v.id
LEFT JOIN checkpoints c ON c.workflow_id = w.id AND c.seq = w.checkpoint_seq
"""

# The claim's snapshot is older than the row lock it waited for, so a checkpoint committed meanwhile is not in it.
_CHECKPOINTS = """
SELECT c.workflow_id, c.state::text AS state, c.step_index, c.step_id, c.checksum, c.committed_at
FROM checkpoints c JOIN unnest($1::uuid[], $2::int[]) AS m(id, seq) ON c.workflow_id = m.id AND c.seq = m.seq
"""

_HELD = """
SELECT command_id, status IN ('NotStarted', 'InProgress') AND waiting_for IS NULL AS is_free
FROM workflow_instances WHERE id = $1
"""

# "Executing" and "Paused" both keep a running step's claim: a pause takes effect at the step's commit.
# Locked in id order like everything else here: extensions would deadlock each other, and the commits of others.
_EXTEND = """
WITH still AS MATERIALIZED (
    SELECT w.id, held.token FROM workflow_instances w JOIN unnest($1::uuid[], $2::uuid[]) AS held(id, token)
        ON w.id = held.id AND w.claim_token = held.token
    WHERE w.status IN ('Executing', 'Paused') ORDER BY w.id FOR UPDATE OF w
)
UPDATE workflow_instances w SET lease_until = clock_timestamp() + $3::interval
FROM still WHERE w.id = still.id AND w.claim_token = still.token
RETURNING w.claim_token
"""


# Claims whose answer this executor's loop has not read yet are in no list of its own.
_EXTEND_OWN = """
WITH still AS MATERIALIZED (
    SELECT id, claim_token FROM workflow_instances WHERE status = 'Executing' AND claimed_by = $1
    ORDER BY id FOR UPDATE
)
UPDATE workflow_instances w SET lease_until = clock_timestamp() + $2::interval
FROM still WHERE w.id = still.id AND w.claim_token = still.claim_token
"""

MISSING = CheckpointMark(-1, "", b"", datetime.fromtimestamp(0, UTC))
"""Stands for a checkpoint that the row names and nobody has: it fails its verification like a damaged one."""


async def claim(
    connection: Connection | asyncpg.Pool, requests: Sequence[ClaimRequest], *, executor: str, lease: timedelta
) -> list[ClaimAnswer]:
    """Answer every request, in order.

    An executor that asks for what it holds itself gets a new token (its old task was cut off), so it must not ask
    while that task still runs.
    """
    rows = await connection.fetch(
        _CLAIM,
        [request.workflow_id for request in requests],
        [request.command_id for request in requests],
        [request.token for request in requests],
        [request.redelivered for request in requests],
        [request.take_over for request in requests],
        executor,
        lease,
        AUTOMATIC_LIMIT,
    )
    late = await _committed_meanwhile(connection, rows)
    answers = {row["token"]: _answer(row, late.get(row["member_id"], row)) for row in rows}
    return [answers[request.token] for request in requests]


async def _committed_meanwhile(
    connection: Connection | asyncpg.Pool, rows: Sequence[asyncpg.Record]
) -> dict[UUID, asyncpg.Record]:
    missed = [row for row in rows if row["checkpoint_seq"] is not None and row["checksum"] is None]
    if not missed:
        return {}
    ids, seqs = [row["member_id"] for row in missed], [row["checkpoint_seq"] for row in missed]
    return {row["workflow_id"]: row for row in await connection.fetch(_CHECKPOINTS, ids, seqs)}


async def is_forgotten(pool: asyncpg.Pool, workflow_id: UUID, command_id: str) -> bool:
    """Whether a claim was answered and is not in the database any more, and nothing else has happened since."""
    row = await pool.fetchrow(_HELD, workflow_id)
    if row is None:
        return True
    return bool(row["command_id"] == command_id and row["is_free"])


async def extend(pool: Connection | asyncpg.Pool, held: Sequence[tuple[UUID, UUID]], *, lease: timedelta) -> set[UUID]:
    """Extend many leases in one statement; returns the tokens that still hold."""
    ordered = sorted(held, key=lambda pair: pair[0].int)
    ids = [workflow_id for workflow_id, _token in ordered]
    rows = await pool.fetch(_EXTEND, ids, [token for _workflow_id, token in ordered], lease)
    return {row["claim_token"] for row in rows}


async def extend_own(connection: Connection, *, executor: str, lease: timedelta) -> None:
    """Extend the leases of everything that runs in an executor's name."""
    await connection.execute(_EXTEND_OWN, executor, lease)


def _answer(row: asyncpg.Record, checkpoint: asyncpg.Record) -> ClaimAnswer:
    verdict = ClaimVerdict(row["verdict"])
    claim = _claim(row, checkpoint) if verdict is ClaimVerdict.GRANTED else None
    abandoned = row["held_by"] if verdict is ClaimVerdict.ABANDONED else None
    return ClaimAnswer(verdict, claim, recoveries=row["recoveries"], due_in=row["due_in"], abandoned=abandoned)


def _claim(row: asyncpg.Record, checkpoint: asyncpg.Record) -> Claim:
    mark = None
    if checkpoint["checksum"] is not None:
        mark = CheckpointMark(*(checkpoint[name] for name in ("step_index", "step_id", "checksum", "committed_at")))
    elif row["checkpoint_seq"] is not None:
        mark = MISSING
    return Claim(
        workflow_id=row["member_id"],
        token=row["token"],
        definition=row["definition"],
        version=row["version"],
        owner_id=row["owner_id"],
        correlation_id=row["correlation_id"],
        step_index=row["current_step_index"],
        current_step=row["current_step"],
        retry_count=row["retry_count"],
        failed_attempts=row["failed_attempts"],
        commits=row["commits"],
        last_seq=row["last_seq"],
        checkpoint_seq=row["checkpoint_seq"],
        state=row["input"] if mark is None or mark is MISSING else checkpoint["state"],
        checkpoint=mark,
        inputs=row["inputs"],
        input_checksum=row["input_checksum"] if row["checkpoint_seq"] is None else None,
    )
