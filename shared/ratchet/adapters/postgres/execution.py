"""The executor's store: single calls in, set-based statements out."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain, repeat
from typing import TypeVar
from uuid import UUID

import asyncpg
import structlog

from ratchet.adapters.postgres import claims, commits, inputs, outbox, starts, takeovers
from ratchet.adapters.postgres.coalescer import Coalescer
from ratchet.domain.errors import StateNotStorable
from ratchet.domain.trouble import Trouble, is_outage, trouble_of
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.envelope import Outgoing
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import (
    Claim,
    ClaimAnswer,
    ClaimRequest,
    Committed,
    FailureCommit,
    Fenced,
    NewWorkflow,
    StartVerdict,
    StepCommit,
)
from ratchet.verdicts import InputsVerdict

log = structlog.get_logger()

BATCH = 200
PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Seconds between two tries to commit, the last one again and again."""

UNKNOWN_TRIES = 10
"""So often an error is met with another try that tells nothing about the server."""

AnyCommit = TypeVar("AnyCommit", StepCommit, FailureCommit, commits.HandOver)


class PostgresExecution:
    """Fulfils `ports.ExecutionStore`.

    `quick` is a pool whose commits do not wait for the disk: for starts, claims, leases, and for what has left the
    outbox. When the server dies with a start or claim not yet on disk, its message is still unacknowledged, and
    `is_forgotten` says that it has to be handled anew. Whatever is committed later waits for the disk, and with it
    everything before.
    """

    def __init__(
        self, pool: asyncpg.Pool, quick: asyncpg.Pool, *, executor: str, lease: timedelta, metrics: ExecutorMetrics
    ) -> None:
        self._pool = pool
        self._quick = quick
        self._executor = executor
        self._lease = lease
        self._metrics = metrics
        self._starts = Coalescer(self._run_starts, key=lambda item: item.workflow_id, limit=BATCH)
        self._claims = Coalescer(self._run_claims, key=lambda item: item.workflow_id, limit=BATCH)
        self._takeovers = Coalescer(self._run_takeovers, key=lambda item: item.workflow_id, limit=BATCH)
        self._steps = Coalescer(self._run_steps, key=lambda item: item.claim.workflow_id, limit=BATCH)
        self._failures = Coalescer(self._run_failures, key=lambda item: item.claim.workflow_id, limit=BATCH)
        self._handovers = Coalescer(self._run_handovers, key=lambda item: item.claim.workflow_id, limit=BATCH)

    async def start(self, workflow: NewWorkflow) -> StartVerdict:
        """Insert a workflow unless its id is taken."""
        return await self._starts.submit(workflow)

    async def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Ask for a workflow; a takeover is recorded, audited and announced in the same transaction."""
        return await (self._takeovers if request.take_over else self._claims).submit(request)

    async def commit_step(self, commit: StepCommit) -> Committed:
        """Commit a done step.

        Raises:
            StateNotStorable: Postgres refuses this step's result.
        """
        try:
            return await self._settled(self._steps, commit)
        except Exception as error:
            if trouble_of(error) is not Trouble.CONTENT:
                raise
            raise StateNotStorable(f"Postgres refuses the step's result: {error}") from error

    async def commit_failure(self, commit: FailureCommit) -> Committed:
        """Commit a failed attempt."""
        return await self._settled(self._failures, commit)

    async def hand_over(
        self,
        claim: Claim,
        *,
        status: WorkflowStatus,
        command_id: str,
        outgoing: Sequence[Outgoing],
        delay: timedelta | None = None,
    ) -> Committed:
        """Release a claim without a step having been done."""
        handover = commits.HandOver(claim, status.value, command_id, tuple(outgoing), delay)
        return await self._settled(self._handovers, handover)

    async def is_forgotten(self, workflow_id: UUID, command_id: str) -> bool:
        """Whether the database lost what it had answered without waiting for the disk."""
        return await claims.is_forgotten(self._pool, workflow_id, command_id)

    async def exists(self, workflow_id: UUID) -> bool:
        """Whether a workflow was accepted."""
        return await inputs.exists(self._pool, workflow_id)

    async def keep_inputs(self, workflow_id: UUID, *, step_id: str, message_id: str, inputs_text: str) -> InputsVerdict:
        """Store the inputs of a step that waits for a command."""
        return await inputs.keep_inputs(
            self._pool, workflow_id, step_id=step_id, message_id=message_id, inputs=inputs_text
        )

    async def extend(self, held: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
        """Extend all leases in one statement."""
        return await claims.extend(self._quick, held, lease=self._lease)

    async def forget_published(self, outbox_ids: Sequence[int]) -> None:
        """Remove confirmed messages from the outbox."""
        await outbox.mark_published(self._quick, outbox_ids)

    async def _settled(self, queue: "Coalescer[AnyCommit, Committed | None]", commit: AnyCommit) -> Committed:
        """Submit until the outcome is known: an answer that was lost says nothing about what the server did.

        For ever while the server is away, takes no writes, or refuses us: the claim is kept, and the step is done.
        """
        committed, unknown = None, 0
        for pause in chain(PAUSES, repeat(PAUSES[-1])):
            try:
                committed = await queue.submit(commit)
                break
            except Exception as error:
                trouble = trouble_of(error)
                unknown += trouble is Trouble.UNKNOWN
                if trouble is Trouble.CONTENT or unknown >= UNKNOWN_TRIES:
                    raise
                _tell("commit.outcome_unknown", error)
            await asyncio.sleep(pause)
            fate = await self._fate(commit)
            if not fate.is_open:
                committed = fate.committed
                break
        if committed is None:
            self._metrics.fenced.inc()
            raise Fenced
        return committed

    async def _fate(self, commit: commits.Commit) -> commits.Fate:
        unknown = 0
        for pause in chain(PAUSES[1:], repeat(PAUSES[-1])):
            try:
                return await commits.fate_of(self._pool, commit)
            except Exception as error:
                unknown += not is_outage(error)
                if unknown >= UNKNOWN_TRIES:
                    raise
                _tell("commit.not_looked_up", error)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the pauses never end")

    async def _run_starts(self, batch: list[NewWorkflow]) -> list[StartVerdict]:
        # A workflow that nobody claims yet has its message acknowledged at once, so it has to be on disk by then.
        pool = self._quick if all(item.claim is not None for item in batch) else self._pool
        return await starts.start(pool, batch, executor=self._executor, lease=self._lease)

    async def _run_claims(self, batch: list[ClaimRequest]) -> list[ClaimAnswer]:
        return await claims.claim(self._quick, batch, executor=self._executor, lease=self._lease)

    async def _run_takeovers(self, batch: list[ClaimRequest]) -> list[ClaimAnswer]:
        return await takeovers.take_over(self._pool, batch, executor=self._executor, lease=self._lease)

    async def _run_steps(self, batch: list[StepCommit]) -> list[Committed | None]:
        with self._metrics.commit_seconds.time():
            answers = await commits.commit_steps(self._pool, batch, executor=self._executor, lease=self._lease)
        self._metrics.commit_batch.observe(len(batch))
        return answers

    async def _run_failures(self, batch: list[FailureCommit]) -> list[Committed | None]:
        return await commits.commit_failures(self._pool, batch, executor=self._executor, lease=self._lease)

    async def _run_handovers(self, batch: list[commits.HandOver]) -> list[Committed | None]:
        return await commits.hand_over(self._pool, batch, lease=self._lease)


def _tell(event: str, error: Exception) -> None:
    trouble = trouble_of(error)
    if trouble.is_outage:
        log.warning(event, error=f"{type(error).__name__}: {error}", trouble=trouble.value)
    else:
        log.error(event, exc_info=error, trouble=trouble.value)
