"""Recovery's use cases on a real database, with executors that do what the test says and a broker that only listens."""

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from ratchet.adapters.postgres import definitions
from ratchet.adapters.postgres.audit_sealing import PostgresAuditSealer
from ratchet.adapters.postgres.bulk_recoveries import PostgresBulk
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.adapters.postgres.recovery_store import PostgresRecovery
from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
from ratchet.adapters.postgres.unserved import PostgresUnserved
from ratchet.adapters.postgres.watches import PostgresWatches
from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.failure import Failure
from ratchet.domain.interruption import Interruption, QueueDepth
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import FailureKind, WorkflowStatus
from ratchet.messages.commands import CONTINUE, RecoveryRequest
from ratchet.messages.envelope import Outgoing
from ratchet.observability.metrics import ExecutorMetrics, RecoveryMetrics, new_registry
from ratchet.ports import Claim, ClaimRequest, Committed, FailureCommit, Fenced, NewWorkflow, StepCommit
from ratchet.recovery_ports import ScanCounts
from ratchet.state import canonical
from recovery.await_executors import AwaitExecutors
from recovery.handle_command import HandleCommand
from recovery.look_after import LookAfter, Verdict
from recovery.restart_scan import RestartScan, Rules, Senses
from recovery.run_bulk import RunBulk
from recovery.verify_recoveries import VerifyRecoveries

from tests.integration.conftest import new_workflow

STEPS = ("a", "b", "c", "d")
CHAIN = WorkflowDefinition("chain", 1, tuple(StepDefinition(step, optional=step == "c") for step in STEPS))
LEASE = timedelta(seconds=30)
SERVED = {"default": QueueDepth(0, 1)}
BROKEN = Failure(FailureKind.PERMANENT, "ValueError", "it broke")


@dataclass
class Listener:
    """Takes every message that is published."""

    messages: list[Outgoing] = field(default_factory=list)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.messages.extend(messages)

    def commands(self, workflow_id: UUID) -> list[str]:
        """Ids of the commands for a workflow, oldest first."""
        return [
            message.message_id
            for message in self.messages
            if message.type == CONTINUE and json.loads(message.body)["workflowId"] == str(workflow_id)
        ]

    def told(self, workflow_id: UUID) -> list[str]:
        """Types of the events about a workflow, oldest first."""
        about = [message for message in self.messages if message.headers.get("ce-subject") == str(workflow_id)]
        return [message.type for message in about]

    def data(self, kind: str) -> dict[str, Any]:
        """The newest event of a type."""
        found: dict[str, Any] = json.loads([message for message in self.messages if message.type == kind][-1].body)
        return found


OF_CHAIN = {"definition": "chain", "input": '{"n": 0}', "correlation_id": "c-1", "first_step": "a"}


@dataclass
class RecoveryStage:
    """One database, and everything that acts on it."""

    pool: asyncpg.Pool
    listener: Listener = field(default_factory=Listener)
    metrics: RecoveryMetrics = field(default_factory=lambda: RecoveryMetrics(new_registry()))

    def executor(self, name: str = "executor-1", lease: timedelta = LEASE) -> PostgresExecution:
        metrics = ExecutorMetrics(new_registry())
        return PostgresExecution(self.pool, self.pool, executor=name, lease=lease, metrics=metrics)

    @property
    def store(self) -> PostgresRecovery:
        return PostgresRecovery(self.pool, self.listener)

    async def define(self, definition: WorkflowDefinition = CHAIN) -> None:
        await definitions.register(self.pool, [definition])

    # --- what executors do ------------------------------------------------------------------------------------------

    async def completed(self) -> NewWorkflow:
        """The start of a workflow that has run to its end."""
        workflow = new_workflow(**OF_CHAIN)
        claim = await self.begin(workflow=workflow)
        for _ in STEPS:
            claim = await self.commit(claim)
        return workflow

    async def begin(self, executor: PostgresExecution | None = None, workflow: NewWorkflow | None = None) -> Claim:
        """Start a workflow and hold it."""
        workflow = workflow or new_workflow(**OF_CHAIN)
        await (executor or self.executor()).start(workflow)
        assert workflow.claim is not None
        return Claim(
            workflow.workflow_id,
            workflow.claim,
            "chain",
            1,
            "sarah",
            "c-1",
            0,
            workflow.first_step,
            0,
            0,
            0,
            0,
            None,
            "{}",
        )

    async def commit(self, claim: Claim, executor: PostgresExecution | None = None, **changes: Any) -> Claim:
        """Do the claim's step; the claim on the next one."""
        commit = self.step_commit(claim, **changes)
        await (executor or self.executor()).commit_step(commit)
        index, seq = claim.step_index, claim.last_seq + 1
        return Claim(
            *(claim.workflow_id, claim.token, "chain", 1, "sarah", "c-1"),
            *(index + 1, commit.next_step, 0, 0, 0, seq, seq, commit.state),
        )

    async def committed(self, claim: Claim, executor: PostgresExecution) -> Committed:
        """Do the claim's step; what the store says of the next one."""
        return await executor.commit_step(self.step_commit(claim))

    def step_commit(self, claim: Claim, **changes: Any) -> StepCommit:
        """The commit of the claim's step."""
        index = claim.step_index
        state = {"n": index + 1}
        place = Position(claim.workflow_id, claim.last_seq + 1, index, STEPS[index])
        following = STEPS[index + 1] if index + 1 < len(STEPS) else None
        commit = StepCommit(
            claim=claim,
            step_id=STEPS[index],
            attempt=claim.failed_attempts + 1,
            state=json.dumps(state),
            checksum=checksum(place, canonical(state)),
            started_at=datetime.now(UTC),
            status=WorkflowStatus.EXECUTING if following else WorkflowStatus.COMPLETED,
            next_step=following,
            release=following is None,
        )
        return commit._replace(**changes)

    async def give_up(self, claim: Claim, executor: PostgresExecution | None = None) -> None:
        """Fail the claim's step for good."""
        failure = FailureCommit(
            claim=claim,
            step_id=STEPS[claim.step_index],
            attempt=claim.failed_attempts + 1,
            failure=BROKEN,
            started_at=datetime.now(UTC),
            status=WorkflowStatus.FAILED,
        )
        await (executor or self.executor()).commit_failure(failure)

    async def retry_later(self, claim: Claim, delay: timedelta) -> str:
        """Fail the claim's step with a retry to come; the retry's command."""
        command_id = str(uuid.uuid4())
        failure = FailureCommit(
            claim=claim,
            step_id=STEPS[claim.step_index],
            attempt=claim.failed_attempts + 1,
            failure=Failure(FailureKind.TRANSIENT, "TimeoutError", "slow"),
            started_at=datetime.now(UTC),
            status=WorkflowStatus.IN_PROGRESS,
            delay=delay,
            command_id=command_id,
        )
        await self.executor().commit_failure(failure)
        return command_id

    async def failed_at(self, step: str) -> UUID:
        """A workflow that failed at this step."""
        claim = await self.begin()
        for _ in range(STEPS.index(step)):
            claim = await self.commit(claim)
        await self.give_up(claim)
        return claim.workflow_id

    async def take(self, workflow_id: UUID, executor: PostgresExecution | None = None, **changes: Any) -> Claim:
        """Deliver the workflow's present command to an executor."""
        command_id = await self.pool.fetchval("SELECT command_id FROM workflow_instances WHERE id = $1", workflow_id)
        request = ClaimRequest(workflow_id, command_id, uuid.uuid4(), redelivered=False, **changes)
        answer = await (executor or self.executor()).claim(request)
        assert answer.claim is not None, answer.verdict
        return answer.claim

    async def pass_step(self, workflow_id: UUID) -> Claim:
        """Take it and do one step."""
        return await self.commit(await self.take(workflow_id))

    async def is_fenced(self, claim: Claim) -> bool:
        """Whether a commit in the name of this claim is refused."""
        with suppress(Fenced):
            await self.commit(claim)
            return False
        return True

    # --- what recovery does -----------------------------------------------------------------------------------------

    async def command(self, kind: RecoveryKind, workflow_id: UUID, **more: Any) -> asyncpg.Record:
        """Ask for something as a person; the recovery's row."""
        recovery_id = str(uuid.uuid4())
        request = RecoveryRequest(workflow_id=workflow_id, actor="ada", **more)
        handle = HandleCommand(self.store, self.metrics)
        await handle(kind, request, recovery_id=recovery_id, correlation_id="c-2")
        row = await self.pool.fetchrow("SELECT * FROM recovery_attempts WHERE id = $1", recovery_id)
        assert row is not None
        return row

    async def look_after(self, workflow_id: UUID, message_id: str | None = None) -> Verdict:
        """A dead letter arrives."""
        return await LookAfter(self.store, self.metrics)(workflow_id, message_id)

    async def scan(
        self,
        *,
        stale_after: timedelta = timedelta(minutes=5),
        depths: Mapping[str, QueueDepth] = SERVED,
        grace: timedelta = timedelta(seconds=30),
        place: timedelta = timedelta(0),
        turn: timedelta = timedelta(0),
    ) -> ScanCounts | None:
        """One restart scan; unless told otherwise, nothing that was rescued takes a place from the others."""

        async def read() -> Mapping[str, QueueDepth]:
            return depths

        async def nothing() -> None:
            return None

        scan = RestartScan(
            store=self.store,
            ledger=PostgresScanLedger(self.pool),
            unserved=self.unserved(),
            look_after=LookAfter(self.store, self.metrics),
            metrics=self.metrics,
            rules=Rules(Interruption(stale_after, grace, timedelta(hours=1)), 5, place, turn),
            senses=Senses(read, nothing),
        )
        return await scan("test")

    def unserved(self) -> AwaitExecutors:
        return AwaitExecutors(PostgresUnserved(self.store), self.metrics)

    async def verify(self) -> int:
        """Give the verdicts that can be given."""
        return await VerifyRecoveries(PostgresWatches(self.pool, self.listener), self.metrics).settle_some()

    def bulk(self) -> RunBulk:
        return RunBulk(PostgresBulk(self.pool, self.listener), self.metrics, rate=1000)

    async def seal(self) -> int:
        return await PostgresAuditSealer(self.pool).seal_some(1000)

    # --- what is stored ---------------------------------------------------------------------------------------------

    async def row(self, workflow_id: UUID) -> asyncpg.Record:
        row = await self.pool.fetchrow(
            "SELECT *, status::text AS word FROM workflow_instances WHERE id = $1", workflow_id
        )
        assert row is not None
        return row

    async def status(self, workflow_id: UUID) -> str:
        return str((await self.row(workflow_id))["word"])

    async def age(self, workflow_id: UUID, by: timedelta) -> None:
        """Let time pass for one workflow."""
        await self.pool.execute(
            "UPDATE workflow_instances SET updated_at = updated_at - $2::interval, lease_until = lease_until - $2,"
            " next_attempt_at = next_attempt_at - $2, failed_at = failed_at - $2 WHERE id = $1",
            workflow_id,
            by,
        )

    async def verdicts(self, workflow_id: UUID) -> list[str | None]:
        """The verdict on each recovery of a workflow that was resumed, oldest first; None: still open."""
        rows = await self.pool.fetch(
            "SELECT v.verdict FROM recovery_attempts r LEFT JOIN recovery_verdicts v ON v.recovery_id = r.id"
            " WHERE r.workflow_id = $1 AND r.outcome = 'resumed' ORDER BY r.attempted_at",
            workflow_id,
        )
        return [row["verdict"] for row in rows]
