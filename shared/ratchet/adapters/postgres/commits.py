"""Commits of an executor: compare-and-set on claim token and position, and all that belongs to it, in one go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from ratchet.adapters.postgres import outbox
from ratchet.adapters.postgres.engine import Connection
from ratchet.messages.commands import CONTINUE
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import EventType
from ratchet.ports import Claim, Committed, FailureCommit, StepCommit

IF_MOVING = frozenset({EventType.COMPLETED.value, CONTINUE})
"""Types that leave only if the workflow went where it was meant to go: after a pause it neither completes nor moves."""

ATTEMPTS_OF = """(
            (SELECT count(*) FROM step_attempts a WHERE a.workflow_id = w.id AND a.step_id = {step})
            + (SELECT count(*) FROM checkpoints c
               WHERE c.workflow_id = w.id AND c.step_id = {step} AND NOT c.skipped))"""
"""How often a step of workflow `w` was run before: attempts are numbered through, whatever was restored meanwhile."""

COMMITS_OF = """(
            SELECT count(*) FROM checkpoints c WHERE c.workflow_id = w.id AND c.step_id = {step} AND NOT c.skipped)"""
"""How often a step of workflow `w` was committed, on whatever line. Only recovery makes it more than none before it
runs, and each time it does it raises `generation`: where that is 0, nobody has to look."""

_MESSAGES = """
posted AS (
    INSERT INTO outbox (message_id, exchange, routing_key, type, body, headers, correlation_id, delay_ms)
    SELECT o.message_id, o.exchange, o.routing_key, o.type, o.body, o.headers, o.correlation_id, o.delay_ms
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[],
        $10::int[], $11::boolean[])
    AS o(token, message_id, exchange, routing_key, type, body, headers, correlation_id, delay_ms, if_moving)
    JOIN moved ON moved.token = o.token AND NOT (o.if_moving AND moved.now = 'Paused')
    RETURNING id, message_id
)
"""

_ANSWER = """
SELECT token, now = 'Paused' AS paused, waits AS waiting, inputs, earlier, commits, NULL::bigint AS outbox_id,
    NULL::text AS message_id
FROM moved
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, id, message_id FROM posted
"""

# One pass over the rows and no lock before it: a row with another token or position does not match, then as now, when
# somebody else changes it at the same moment (Postgres looks again at the newest version). Members come in id order, so
# batches rarely lock in each other's way; where they do, Postgres ends one of them and it is run again.
# A pause that came during the step keeps the checkpoint and the pause.
_WAITS = "(m.next_waits AND NOT w.pending_inputs ? m.next_step)"
_RELEASED = f"(m.release OR w.status = 'Paused' OR {_WAITS})"

COMMIT_STEPS = f"""
WITH member AS (
    SELECT * FROM unnest($12::uuid[], $13::uuid[], $14::int[], $15::text[], $16::int[], $17::jsonb[], $18::bytea[],
        $19::timestamptz[], $20::text[], $21::text[], $22::boolean[], $23::boolean[], $24::text[], $25::int[],
        $26::int[])
    AS m(id, token, step_index, step_id, attempt, state, checksum, started_at, status, next_step, next_waits, release,
        command_id, seq, parent_seq)
), moved AS (
    UPDATE workflow_instances w
    SET status = CASE WHEN w.status = 'Paused' THEN 'Paused' WHEN {_WAITS} THEN 'InProgress'
            ELSE m.status END::workflow_status,
        current_step_index = m.step_index + 1,
        current_step = m.next_step,
        waiting_for = CASE WHEN {_WAITS} THEN m.next_step END,
        pending_inputs = w.pending_inputs - m.step_id,
        command_id = coalesce(m.command_id, w.command_id),
        checkpoint_seq = m.seq, last_seq = m.seq, last_checkpoint_at = clock_timestamp(),
        retry_count = 0, recoveries_since_progress = 0,
        failed_attempts = CASE WHEN w.generation = 0 THEN 0 ELSE {ATTEMPTS_OF.format(step="m.next_step")} END,
        claim_token = CASE WHEN NOT {_RELEASED} THEN w.claim_token END,
        claimed_by = CASE WHEN NOT {_RELEASED} THEN w.claimed_by END,
        lease_until = CASE WHEN NOT {_RELEASED} THEN clock_timestamp() + $1::interval END,
        finished_at = CASE WHEN m.status = 'Completed' AND w.status <> 'Paused' THEN clock_timestamp() END,
        updated_at = clock_timestamp()
    FROM member m
    WHERE w.id = m.id AND w.claim_token = m.token AND w.current_step_index = m.step_index
        AND w.status IN ('Executing', 'Paused')
    RETURNING m.id, m.token, m.seq, m.parent_seq, m.step_index, m.step_id, m.attempt, m.state, m.checksum, m.started_at,
        w.status::text AS now, w.waiting_for IS NOT NULL AS waits, w.last_checkpoint_at AS committed_at,
        (w.pending_inputs -> m.next_step)::text AS inputs, w.failed_attempts AS earlier,
        CASE WHEN w.generation = 0 THEN 0 ELSE {COMMITS_OF.format(step="m.next_step")} END AS commits
), kept AS (
    INSERT INTO checkpoints (workflow_id, seq, parent_seq, step_index, step_id, attempt, state, checksum, claim_token,
        executor, started_at, committed_at)
    SELECT id, seq, parent_seq, step_index, step_id, attempt, state, checksum, token, $27, started_at, committed_at
    FROM moved
), {_MESSAGES}
{_ANSWER}
"""

COMMIT_FAILURES = f"""
WITH member AS (
    SELECT * FROM unnest($12::uuid[], $13::uuid[], $14::int[], $15::text[], $16::int[], $17::text[], $18::text[],
        $19::text[], $20::timestamptz[], $21::text[], $22::interval[], $23::text[], $25::text[])
    AS m(id, token, step_index, step_id, attempt, kind, error_class, reason, started_at, status, delay, command_id,
        traceback)
), locked AS MATERIALIZED (
    SELECT w.id, w.status = 'Paused' AND m.status <> 'Failed' AS paused FROM workflow_instances w JOIN member m
        ON w.id = m.id AND w.claim_token = m.token AND w.current_step_index = m.step_index
    WHERE w.status IN ('Executing', 'Paused') ORDER BY w.id FOR UPDATE OF w
), planned AS (
    SELECT m.*, l.paused, m.status = 'Executing' AND NOT l.paused AS held, m.status = 'Failed' AS failed
    FROM member m JOIN locked l USING (id)
), moved AS (
    UPDATE workflow_instances w
    SET status = CASE WHEN p.paused THEN 'Paused' ELSE p.status END::workflow_status,
        command_id = coalesce(p.command_id, w.command_id),
        retry_count = w.retry_count + (NOT p.failed)::int,
        failed_attempts = p.attempt,
        next_attempt_at = clock_timestamp() + p.delay,
        claim_token = CASE WHEN p.held THEN w.claim_token END,
        claimed_by = CASE WHEN p.held THEN w.claimed_by END,
        lease_until = CASE WHEN p.held THEN clock_timestamp() + $1::interval END,
        failure_kind = CASE WHEN p.failed THEN p.kind END,
        failure_class = CASE WHEN p.failed THEN p.error_class END,
        failure_reason = CASE WHEN p.failed THEN p.reason END,
        failed_at = CASE WHEN p.failed THEN clock_timestamp() END,
        updated_at = clock_timestamp()
    FROM planned p WHERE w.id = p.id
    RETURNING p.*, w.status::text AS now, false AS waits, NULL::text AS inputs, 0 AS earlier, 0 AS commits,
        w.next_attempt_at, w.correlation_id
), kept AS (
    INSERT INTO step_attempts (workflow_id, step_index, step_id, attempt, kind, error_class, reason, correlation_id,
        claim_token, executor, started_at, next_attempt_at, traceback)
    SELECT id, step_index, step_id, attempt, kind, error_class, reason, correlation_id, token, $24, started_at,
        CASE WHEN NOT failed THEN coalesce(next_attempt_at, clock_timestamp()) END, traceback
    FROM moved
), {_MESSAGES}
{_ANSWER}
"""

# No step was done: the claim is given back, for another pool, for fairness, at shutdown, or because all is done.
HAND_OVER = f"""
WITH member AS (
    SELECT * FROM unnest($12::uuid[], $13::uuid[], $14::int[], $15::text[], $16::text[], $17::interval[])
    AS m(id, token, step_index, status, command_id, delay)
), locked AS MATERIALIZED (
    SELECT w.id, w.status = 'Paused' AS paused FROM workflow_instances w JOIN member m
        ON w.id = m.id AND w.claim_token = m.token AND w.current_step_index = m.step_index
    WHERE w.status IN ('Executing', 'Paused') ORDER BY w.id FOR UPDATE OF w
), moved AS (
    UPDATE workflow_instances w
    SET status = CASE WHEN l.paused THEN 'Paused' ELSE m.status END::workflow_status,
        command_id = m.command_id, claim_token = NULL, claimed_by = NULL, lease_until = NULL,
        next_attempt_at = CASE WHEN NOT l.paused THEN clock_timestamp() + m.delay END,
        finished_at = CASE WHEN m.status = 'Completed' AND NOT l.paused THEN clock_timestamp() END,
        updated_at = clock_timestamp()
    FROM member m JOIN locked l USING (id) WHERE w.id = m.id AND $1::interval IS NOT NULL
    RETURNING w.id, m.token, w.status::text AS now, false AS waits, NULL::text AS inputs, 0 AS earlier,
        0 AS commits
), {_MESSAGES}
{_ANSWER}
"""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Release a claim without a step having been done."""

    claim: Claim
    status: str
    command_id: str
    outgoing: tuple[Outgoing, ...]
    delay: timedelta | None


Commit = StepCommit | FailureCommit | HandOver


async def commit_steps(
    pool: asyncpg.Pool, commits: Sequence[StepCommit], *, executor: str, lease: timedelta
) -> list[Committed | None]:
    """One answer for each commit, in order; None means fenced."""
    ordered = sorted(commits, key=lambda item: item.claim.workflow_id.int)
    arguments = [
        *_members(ordered),
        [item.step_id for item in ordered],
        [item.attempt for item in ordered],
        [item.state for item in ordered],
        [item.checksum for item in ordered],
        [item.started_at for item in ordered],
        [item.status.value for item in ordered],
        [item.next_step for item in ordered],
        [item.next_waits for item in ordered],
        [item.release for item in ordered],
        [item.command_id for item in ordered],
        [item.claim.last_seq + 1 for item in ordered],
        [item.claim.checkpoint_seq for item in ordered],
        executor,
    ]
    return await _run(pool, COMMIT_STEPS, commits, arguments, lease)


async def commit_failures(
    pool: Connection | asyncpg.Pool, commits: Sequence[FailureCommit], *, executor: str, lease: timedelta
) -> list[Committed | None]:
    """One answer for each commit, in order; None means fenced."""
    arguments = [
        *_members(commits),
        [item.step_id for item in commits],
        [item.attempt for item in commits],
        [item.failure.kind.value for item in commits],
        [item.failure.error_class for item in commits],
        [item.failure.reason for item in commits],
        [item.started_at for item in commits],
        [item.status.value for item in commits],
        [item.delay for item in commits],
        [item.command_id for item in commits],
        executor,
        [item.failure.traceback for item in commits],
    ]
    return await _run(pool, COMMIT_FAILURES, commits, arguments, lease)


async def hand_over(
    pool: Connection | asyncpg.Pool, handovers: Sequence[HandOver], *, lease: timedelta
) -> list[Committed | None]:
    """One answer for each claim, in order; None means fenced."""
    arguments = [
        *_members(handovers),
        [item.status for item in handovers],
        [item.command_id for item in handovers],
        [item.delay for item in handovers],
    ]
    return await _run(pool, HAND_OVER, handovers, arguments, lease)


def _members(commits: Sequence[Commit]) -> list[list[Any]]:
    return [
        [item.claim.workflow_id for item in commits],
        [item.claim.token for item in commits],
        [item.claim.step_index for item in commits],
    ]


async def _run(
    pool: Connection | asyncpg.Pool, statement: str, commits: Sequence[Commit], arguments: list[Any], lease: timedelta
) -> list[Committed | None]:
    posts = [(item.claim.token, message) for item in commits for message in item.outgoing]
    messages = [message for _token, message in posts]
    rows = await pool.fetch(
        statement,
        lease,
        [token for token, _message in posts],
        *outbox.columns(messages),
        [message.type in IF_MOVING for message in messages],
        *arguments,
    )
    ids = {row["message_id"]: row["outbox_id"] for row in rows if row["outbox_id"] is not None}
    answers = {row["token"]: row for row in rows if row["token"] is not None}
    return [_committed(answers.get(item.claim.token), item.outgoing, ids) for item in commits]


_ON_IT_GOES = Committed()
"""The answer to nearly every step."""


def _committed(row: asyncpg.Record | None, outgoing: Sequence[Outgoing], ids: dict[str, int]) -> Committed | None:
    if row is None:
        return None
    if not outgoing and not (row["paused"] or row["waiting"] or row["inputs"] or row["earlier"] or row["commits"]):
        return _ON_IT_GOES
    posted = {message.message_id: ids[message.message_id] for message in outgoing if message.message_id in ids}
    return Committed(
        paused=row["paused"],
        waiting=row["waiting"],
        inputs=row["inputs"],
        earlier_attempts=row["earlier"],
        earlier_commits=row["commits"],
        posted=posted,
    )


_FATE = f"""
SELECT w.claim_token = $2 AND w.current_step_index = $3 AS is_open, w.status = 'Paused' AS paused,
    w.waiting_for IS NOT NULL AS waiting, (w.pending_inputs -> w.current_step)::text AS inputs,
    w.failed_attempts AS earlier,
    CASE WHEN w.generation = 0 THEN 0 ELSE {COMMITS_OF.format(step="w.current_step")} END AS commits
FROM workflow_instances w WHERE w.id = $1 FOR UPDATE
"""

_STEP_KEPT = "SELECT EXISTS (SELECT FROM checkpoints WHERE workflow_id = $1 AND seq = $2 AND claim_token = $3)"
_ATTEMPT_KEPT = """
SELECT EXISTS (SELECT FROM step_attempts WHERE workflow_id = $1 AND attempt = $2 AND claim_token = $3 AND step_id = $4)
"""
_COMMAND_SET = "SELECT EXISTS (SELECT FROM workflow_instances WHERE id = $1 AND command_id = $2)"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a commit whose answer was lost: `committed`, or open (do it again), or neither (fenced)."""

    committed: Committed | None
    is_open: bool


async def fate_of(pool: asyncpg.Pool, commit: Commit) -> Fate:
    """Find out by the row. The row lock waits for the old connection's transaction if that is still at it."""
    claim = commit.claim
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_FATE, claim.workflow_id, claim.token, claim.step_index)
        match commit:
            case StepCommit():
                kept = await connection.fetchval(_STEP_KEPT, claim.workflow_id, claim.last_seq + 1, claim.token)
            case FailureCommit():
                kept = await connection.fetchval(
                    _ATTEMPT_KEPT, claim.workflow_id, commit.attempt, claim.token, commit.step_id
                )
            case HandOver():
                kept = await connection.fetchval(_COMMAND_SET, claim.workflow_id, commit.command_id)
    if row is None:
        return Fate(None, is_open=False)
    if not kept:
        return Fate(None, is_open=bool(row["is_open"]))
    # The outbox rows' ids are not known here; recovery's relay publishes and removes them.
    committed = Committed(row["paused"], row["waiting"], row["inputs"], row["earlier"], row["commits"])
    return Fate(committed, is_open=False)
