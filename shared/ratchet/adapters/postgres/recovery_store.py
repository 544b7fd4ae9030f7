"""The recovery service's store: rows are locked, looked at, and changed in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog

from ratchet.adapters.postgres import archive, definitions, outbox, presence, recovery_records
from ratchet.adapters.postgres.commits import ATTEMPTS_OF
from ratchet.adapters.postgres.engine import Connection
from ratchet.adapters.postgres.locks import Lock, lives, release_in_session, try_in_session
from ratchet.domain.checkpoint import Position, is_intact_input
from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.interruption import Interruption
from ratchet.domain.recovery import StoredCheckpoint
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.envelope import Outgoing
from ratchet.ports import Change, MessagePublisher, RecoveryRecord, SkippedStep, StoredInput, WorkflowRow
from ratchet.state import canonical, decode_state, encode_state

log = structlog.get_logger()

_ROW = f"""
SELECT id, definition, version, owner_id, status::text AS status, correlation_id, current_step_index AS step_index,
    current_step, waiting_for, (SELECT array_agg(step) FROM jsonb_object_keys(pending_inputs) AS step) AS inputs_for,
    command_id, claimed_by, retry_count, recoveries_since_progress AS recoveries, checkpoint_seq, last_seq,
    last_checkpoint_at, failure_kind, failure_reason, failed_at, failed_attempts,
    requires_manual_intervention,
    CASE WHEN status = 'Executing' AND lease_until >= clock_timestamp() THEN {lives("claimed_by")} ELSE false END
        AS is_held
FROM workflow_instances w
"""

POOL_OF = """coalesce((SELECT d.steps -> w.current_step_index ->> 'pool' FROM workflow_definitions d
    WHERE d.name = w.definition AND d.version = w.version), 'default')"""

_LOCK = f"{_ROW} WHERE id = $1 FOR UPDATE OF w"
_LOCK_MANY = f"{_ROW} WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE OF w"

# Three ways to be forgotten: the holder's lease ran out; nothing happened for long; a retry is overdue. A workflow that
# waits for a command is never forgotten, unless its inputs are there, nor is one that nobody can run now. One whose
# message may still lie in its pool's queue is left alone. Selecting and locking are one step, so two scans never get
# the same row.
_LOCK_INTERRUPTED = f"""
{_ROW}
WHERE unserved_since IS NULL AND ((status = 'Executing' AND lease_until < clock_timestamp())
   OR (status IN ('NotStarted', 'InProgress') AND (waiting_for IS NULL OR pending_inputs ? waiting_for)
       AND CASE WHEN next_attempt_at IS NULL THEN updated_at < clock_timestamp() - $1::interval
           ELSE next_attempt_at < clock_timestamp() - $2::interval END
       AND CASE WHEN {POOL_OF} = ANY ($5::text[]) THEN false WHEN {POOL_OF} = ANY ($4::text[])
           THEN greatest(next_attempt_at, updated_at) < clock_timestamp() - $3::interval ELSE true END))
ORDER BY updated_at LIMIT $6 FOR UPDATE OF w SKIP LOCKED
"""

_RESCUED = """
SELECT count(DISTINCT r.workflow_id) FROM recovery_attempts r JOIN workflow_instances w ON w.id = r.workflow_id
WHERE r.kind = 'rescue' AND r.attempted_at > clock_timestamp() - $1::interval AND r.outcome = 'resumed'
    AND r.awaited_step IS NOT NULL AND w.status IN ('InProgress', 'Executing') AND w.waiting_for IS NULL
    AND w.last_seq <= r.since_seq
"""

_LOCK_UNATTENDED = f"""
{_ROW}
WHERE status = 'Failed' AND NOT requires_manual_intervention AND failed_at < clock_timestamp() - $1::interval
ORDER BY failed_at LIMIT $2 FOR UPDATE OF w SKIP LOCKED
"""

_LOST = """
SELECT lost_executor FROM recovery_attempts
WHERE workflow_id = $1 AND since_seq = $2 AND lost_executor IS NOT NULL
    AND attempted_at > (SELECT coalesce(max(attempted_at), '-infinity') FROM recovery_attempts
        WHERE workflow_id = $1 AND kind IN ('recover', 'retry', 'restore', 'override') AND outcome = 'resumed')
ORDER BY attempted_at
"""

_ASKED_EARLIER = """
SELECT EXISTS (SELECT FROM recovery_requests mine JOIN recovery_requests earlier USING (workflow_id)
    WHERE mine.id = $1 AND (earlier.requested_at, earlier.id) < (mine.requested_at, mine.id)
        AND earlier.requested_at > mine.requested_at - interval '1 hour'
        AND NOT EXISTS (SELECT FROM recovery_attempts a WHERE a.id = earlier.id))
"""

_KEEP_ASIDE = "UPDATE workflow_instances SET unserved_since = clock_timestamp() WHERE id = $1"

_INPUT = "SELECT input::text AS input, input_checksum FROM workflow_instances WHERE id = $1"

CHECKPOINTS = """
SELECT workflow_id, seq, parent_seq, step_index, step_id, state::text AS state, checksum, committed_at
FROM checkpoints
"""
_CHECKPOINTS_OF = f"{CHECKPOINTS} WHERE workflow_id = ANY ($1::uuid[]) ORDER BY workflow_id, seq"

# Attempts of a step are numbered through, also after it was started afresh.
_APPLY = f"""
UPDATE workflow_instances w SET
    status = $2::text::workflow_status, current_step_index = $3, current_step = $4, checkpoint_seq = $5,
    command_id = $6, waiting_for = $7, recoveries_since_progress = $8,
    last_checkpoint_at = (SELECT committed_at FROM checkpoints WHERE workflow_id = w.id AND seq = $5),
    last_seq = greatest(last_seq, $5),
    pending_inputs = CASE WHEN $13::text IS NULL THEN pending_inputs ELSE pending_inputs - $13::text END,
    claim_token = CASE WHEN $10 THEN claim_token END,
    claimed_by = CASE WHEN $10 THEN claimed_by END,
    lease_until = CASE WHEN $10 THEN lease_until END,
    retry_count = CASE WHEN $9 THEN 0 ELSE retry_count END,
    generation = generation + ($9 OR $5 IS DISTINCT FROM checkpoint_seq)::int,
    failed_attempts = CASE WHEN $10 THEN failed_attempts ELSE {ATTEMPTS_OF.format(step="$4")} END,
    next_attempt_at = NULL, unserved_since = NULL,
    failure_kind = CASE WHEN $2 IN ('Failed', 'Cancelled') THEN coalesce($14, failure_kind) END,
    failure_class = CASE WHEN $2 IN ('Failed', 'Cancelled') THEN coalesce($15, failure_class) END,
    failure_reason = CASE WHEN $2 IN ('Failed', 'Cancelled') THEN coalesce($12, failure_reason) END,
    failed_at = CASE WHEN $2 IN ('Failed', 'Cancelled') THEN
        CASE WHEN $12::text IS NULL THEN failed_at ELSE clock_timestamp() END END,
    requires_manual_intervention = $11,
    finished_at = CASE WHEN $2 IN ('Completed', 'Cancelled') THEN clock_timestamp() END,
    updated_at = clock_timestamp()
WHERE id = $1
"""

_KEEP_SKIPPED = """
INSERT INTO checkpoints (workflow_id, seq, parent_seq, step_index, step_id, attempt, skipped, state, checksum)
VALUES ($1, $2, $3, $4, $5, 0, true, $6, $7)
"""


Kind = TypeVar("Kind", bound="PostgresTransaction")


class PostgresRecovery:
    """Fulfils `ports.RecoveryStore`."""

    def __init__(self, pool: asyncpg.Pool, publisher: MessagePublisher) -> None:
        self._pool = pool
        self._publisher = publisher

    def transaction(self) -> AbstractAsyncContextManager["PostgresTransaction"]:
        """Commit at the end of the block, then publish what was posted; what cannot be published is the relay's."""
        return self.begin(PostgresTransaction)

    @asynccontextmanager
    async def begin(self, kind: type[Kind]) -> AsyncIterator[Kind]:
        """A transaction that can do more than the plain one."""
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                transaction = kind(connection)
                yield transaction
            await self._send(connection, transaction.posted)

    @asynccontextmanager
    async def scanning(self) -> AsyncIterator[bool]:
        """True for one holder at a time. It saves double work only: two scans at once would be correct, too."""
        async with self._pool.acquire() as connection:
            is_ours = await try_in_session(connection, Lock.RESTART_SCAN)
            try:
                yield is_ours
            finally:
                if is_ours:
                    await release_in_session(connection, Lock.RESTART_SCAN)

    async def _send(self, connection: Connection, posted: dict[int, Outgoing]) -> None:
        if not posted:
            return
        try:
            await self._publisher.publish(list(posted.values()))
            await outbox.mark_published(connection, list(posted))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it was, the committed outbox rows remain for the relay
            log.warning("outbox.left_to_relay", error=type(error).__name__, messages=len(posted))


class PostgresTransaction:
    """Fulfils `ports.RecoveryTransaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._definitions: dict[tuple[str, int], WorkflowDefinition | None] = {}
        self.posted: dict[int, Outgoing] = {}

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what the block did if it raises, and what it posted."""
        before = dict(self.posted)
        try:
            async with self._connection.transaction():
                yield
        except BaseException:
            self.posted = before
            raise

    async def is_recorded(self, recovery_id: str) -> bool:
        """Whether this recovery was handled already."""
        return await recovery_records.is_recorded(self._connection, recovery_id)

    async def is_asked_earlier(self, recovery_id: str) -> bool:
        """Whether something else was asked for about the same workflow before, and is not handled yet."""
        return bool(await self._connection.fetchval(_ASKED_EARLIER, recovery_id))

    async def lock(self, workflow_id: UUID) -> WorkflowRow | None:
        """Read a workflow and keep everybody else from changing it."""
        row = await self._connection.fetchrow(_LOCK, workflow_id)
        return None if row is None else _workflow(row)

    async def bring_back(self, workflow_id: UUID) -> WorkflowRow | None:
        """Make an archived workflow a live one again, and lock it."""
        return await self.lock(workflow_id) if await archive.bring_back(self._connection, workflow_id) else None

    async def lock_interrupted(self, when: Interruption, *, limit: int) -> list[WorkflowRow]:
        """Workflows that nothing will move any more."""
        rows = await self._connection.fetch(
            _LOCK_INTERRUPTED,
            when.stale_after,
            when.retry_grace,
            when.ceiling,
            when.slow_pools,
            when.standing_pools,
            limit,
        )
        return [_workflow(row) for row in rows]

    async def count_rescued(self, *, within: timedelta) -> int:
        """Workflows that a scan rescued and whose step has neither passed nor failed since."""
        return int(await self._connection.fetchval(_RESCUED, within))

    async def lock_unattended(self, *, older_than: timedelta, limit: int) -> list[WorkflowRow]:
        """Failed workflows whose dead letter was lost."""
        return [_workflow(row) for row in await self._connection.fetch(_LOCK_UNATTENDED, older_than, limit)]

    async def definition_of(self, row: WorkflowRow) -> WorkflowDefinition | None:
        """The workflow's definition, as an executor registered it."""
        key = (row.definition, row.version)
        if key not in self._definitions:
            self._definitions[key] = await definitions.find(self._connection, *key)
        return self._definitions[key]

    async def is_served(self, definition: str, version: int, pool: str) -> bool:
        """Whether an executor of this pool that has this definition is there."""
        return await presence.is_served(self._connection, definition, version, pool)

    async def keep_aside(self, workflow_id: UUID) -> None:
        """Nobody can run it now."""
        await self._connection.execute(_KEEP_ASIDE, workflow_id)

    async def input_of(self, workflow_id: UUID) -> StoredInput:
        """The state before the first step."""
        row = await self._connection.fetchrow(_INPUT, workflow_id)
        assert row is not None  # its row is locked
        state = decode_state(row["input"])
        return StoredInput(state, is_intact_input(workflow_id, canonical(state), row["input_checksum"]))

    async def checkpoints_of(self, workflow_id: UUID) -> list[StoredCheckpoint]:
        """Every checkpoint, of every line, oldest first."""
        return [stored_checkpoint(row) for row in await self._connection.fetch(_CHECKPOINTS_OF, [workflow_id])]

    async def lost_executors(self, row: WorkflowRow) -> tuple[str, ...]:
        """Executors that died holding this workflow since its last progress."""
        rows = await self._connection.fetch(_LOST, row.id, row.last_seq)
        return tuple(item["lost_executor"] for item in rows)

    async def apply(self, row: WorkflowRow, change: Change) -> None:
        """Write a change, and the checkpoint of a skipped step."""
        if change.skipped is not None:
            await self._keep_skipped(change.skipped)
        failure = change.failure
        await self._connection.execute(
            _APPLY,
            row.id,
            change.status.value,
            change.step_index,
            change.current_step,
            change.checkpoint_seq,
            change.command_id,
            change.waiting_for,
            change.recoveries,
            change.fresh_start,
            change.keeps_claim,
            change.needs_person,
            None if failure is None else failure.reason,
            None if change.skipped is None else change.skipped.position.step_id,
            None if failure is None else failure.kind.value,
            None if failure is None else failure.error_class,
        )

    async def record(self, records: Sequence[RecoveryRecord]) -> None:
        """Write recoveries and their audit rows."""
        await recovery_records.record(self._connection, records)

    async def post(self, messages: Sequence[Outgoing]) -> None:
        """Write messages to the outbox."""
        ids = await outbox.add(self._connection, messages)
        self.posted.update(zip(ids, messages, strict=True))

    async def _keep_skipped(self, skipped: SkippedStep) -> None:
        place = skipped.position
        await self._connection.execute(
            _KEEP_SKIPPED,
            place.workflow_id,
            place.seq,
            skipped.parent_seq,
            place.step_index,
            place.step_id,
            encode_state(skipped.state).decode(),
            skipped.checksum,
        )


def _workflow(row: asyncpg.Record) -> WorkflowRow:
    values: dict[str, Any] = dict(row)
    values["status"] = WorkflowStatus(values["status"])
    values["inputs_for"] = frozenset(values["inputs_for"] or ())
    return WorkflowRow(**values)


async def lock_all(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, WorkflowRow]:
    """Read and lock many workflows, in the order in which everybody locks them."""
    return {row["id"]: _workflow(row) for row in await connection.fetch(_LOCK_MANY, list(ids))}


async def checkpoints_of_all(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[StoredCheckpoint]]:
    """Every checkpoint of many workflows."""
    found: dict[UUID, list[StoredCheckpoint]] = {workflow_id: [] for workflow_id in ids}
    for row in await connection.fetch(_CHECKPOINTS_OF, list(ids)):
        found[row["workflow_id"]].append(stored_checkpoint(row))
    return found


def stored_checkpoint(row: asyncpg.Record) -> StoredCheckpoint:
    """A row of `CHECKPOINTS`."""
    state = decode_state(row["state"])
    return StoredCheckpoint(
        position=Position(row["workflow_id"], row["seq"], row["step_index"], row["step_id"]),
        parent_seq=row["parent_seq"],
        state=state,
        content=canonical(state),
        checksum=row["checksum"],
        committed_at=row["committed_at"],
    )
