"""Advancing one claimed workflow: step after step is run, decided, committed and told."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from ratchet.authoring import CallHttp, Registry, StepContext
from ratchet.crash_points import CrashPoint, Reach, nothing_happens
from ratchet.domain.checkpoint import Position, is_intact, is_intact_input
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.dependency import SHORT_HOLD
from ratchet.domain.errors import StateNotStorable
from ratchet.domain.failure import Failure, classify
from ratchet.domain.frames import frames_only
from ratchet.domain.retry import RetryIn
from ratchet.domain.step_key import step_key
from ratchet.domain.workflow import WorkflowStatus
from ratchet.observability.metrics import ExecutorMetrics, begin
from ratchet.ports import (
    Claim,
    ClaimForgotten,
    ClaimVerdict,
    Committed,
    ExecutionStore,
    FailureCommit,
    Fenced,
    StepCommit,
)
from ratchet.state import canonical, decode_state, read_back

from executor.decide import (
    Turn,
    after_failure,
    after_success,
    changed,
    damaged,
    new_id,
)
from executor.delivery import Delivery, Ending
from executor.heed_dependencies import FIRST, Go, HeedDependencies, Hold
from executor.holdings import Held, Holdings, Interrupted, Interruption, RunningStep
from executor.leave import Leave
from executor.outlet import Outlet
from executor.rules import Rules
from executor.run_step import Failed, Heartbeat, StepResult, Succeeded, run_step
from executor.step_threads import StepThreads

log = structlog.get_logger()


@dataclass(slots=True)
class Budget:
    """How much one delivery may do before others get their turn."""

    steps_left: int
    ends_at: float

    @property
    def is_spent(self) -> bool:
        """Whether the workflow has to go back through the broker."""
        return self.steps_left <= 0 or time.monotonic() >= self.ends_at


class RunWorkflow:
    """The use case. One instance serves all deliveries."""

    def __init__(
        self,
        *,
        store: ExecutionStore,
        registry: Registry,
        holdings: Holdings,
        outlet: Outlet,
        leave: Leave,
        rules: Rules,
        metrics: ExecutorMetrics,
        threads: StepThreads,
        call_http: CallHttp | None = None,
        dependencies: HeedDependencies | None = None,
        reach: Reach = nothing_happens,
    ) -> None:
        self._store = store
        self._registry = registry
        self._holdings = holdings
        self._outlet = outlet
        self._leave = leave
        self._rules = rules
        self._metrics = metrics
        self._threads = threads
        self._dependencies = dependencies
        self._reach = reach
        self._call_http = call_http
        # Looked up once: finding a metric by its labels costs more than counting.
        self._step_seconds = metrics.step_seconds
        begin(metrics.steps, ("committed", "failed"))
        begin(metrics.finished, ("Completed", "Failed"))
        begin(metrics.stale, ["known", "inputs-ignored", "handed-on", "fenced", *ClaimVerdict])
        self._steps_committed = metrics.steps.labels("committed")
        self._completed = metrics.finished.labels("Completed")

    async def __call__(
        self, claim: Claim, delivery: Delivery, asked_at: float, on_commit: Callable[[], None] | None = None
    ) -> Ending:
        """Run step after step until the workflow ends, waits, fails, or leaves this executor.

        `asked_at`: just before the claim was asked for, in seconds of the monotonic clock. `on_commit` is told when a
        step was committed.
        """
        budget = Budget(
            self._rules.delivery_steps,
            time.monotonic() + self._rules.delivery_time.total_seconds(),
        )
        self._reach(CrashPoint.AFTER_CLAIM)
        with self._holdings.hold(claim, asked_at) as held:
            held.on_commit = on_commit
            try:
                while True:
                    ending = await self._take_turn(held, delivery, budget)
                    if ending is not None:
                        return ending
                    budget.steps_left -= 1
            except Fenced:
                return await self._fenced(held, delivery)
            except Interrupted as interrupted:
                return await self._interrupted(held, interrupted.interruption, delivery)

    async def _take_turn(self, held: Held, delivery: Delivery, budget: Budget) -> Ending | None:
        claim = held.claim
        definition = self._registry.find(claim.definition, claim.version)
        if definition is None:
            return await self._leave.without_code(claim, delivery.pool)
        if claim.current_step is None:
            return await self._leave.completed(claim)
        step = definition.step_at(claim.step_index)
        is_known = step is not None and step.id == claim.current_step
        if step is None or not is_known:
            step = StepDefinition(claim.current_step)
        elif self._must_leave(step, budget):
            return await self._leave.to_pool(claim, step.pool)
        go = FIRST if self._dependencies is None else await self._dependencies.admit(step)
        if isinstance(go, Hold):
            return await self._leave.to_pool(claim, step.pool, go.delay)
        await self._holdings.confirm(held)
        started_at = datetime.now(UTC)
        result = await self._run(held, definition, step, delivery) if is_known else Failed(changed(claim), False)
        ended_at = datetime.now(UTC)
        self._step_seconds.observe((ended_at - started_at).total_seconds())
        if self._dependencies is not None:
            self._dependencies.report(step, go, result)
        if isinstance(result, Failed) and self._is_free(go, step, result.failure):
            return await self._put_off(claim, step, result.failure)
        turn = Turn(claim, definition, step, started_at, ended_at, new_id, random.random())  # noqa: S311  # jitter
        if isinstance(result, Succeeded):
            unstorable = await self._commit_success(held, turn, result, budget)
            if not isinstance(unstorable, Failed):
                return unstorable
            result = unstorable
        return await self._commit_failure(held, turn, result.failure, delivery)

    async def _run(
        self, held: Held, definition: WorkflowDefinition, step: StepDefinition, delivery: Delivery
    ) -> StepResult:
        claim = held.claim
        state = held.state
        if not _stands_on_intact(claim, state):
            return Failed(damaged(claim.checkpoint_seq), False)
        if self._rules.lives_on_lease(step):
            await delivery.acknowledge()
        limit = self._rules.timeout_of(step)
        heartbeat = None if step.heartbeat_timeout is None else Heartbeat(step.heartbeat_timeout, held.lost)
        context = StepContext(
            workflow_id=claim.workflow_id,
            step=step.id,
            attempt=claim.failed_attempts + 1,
            correlation_id=claim.correlation_id,
            inputs={} if claim.inputs is None else decode_state(claim.inputs)["inputs"],
            idempotency_key=step_key(claim.workflow_id, step.id, claim.commits),
            on_heartbeat=heartbeat or _nothing_to_restart,
            call_http=self._call_http,
            in_thread=partial(self._threads.run, definition.name, step.id),
        )
        code = self._registry.step(definition, claim.step_index)
        held.running = RunningStep(definition, step, datetime.now(UTC), limit)
        try:
            return await run_step(code, context, state, held=held, timeout=limit, heartbeat=heartbeat)
        finally:
            held.running = None

    def _is_free(self, go: Go, step: StepDefinition, failure: Failure) -> bool:
        """Whether a failed attempt costs its workflow nothing, because it was made to find out for others."""
        return go.is_free and failure.is_transient and self._rules.retry_of(step).limit > 0

    async def _put_off(self, claim: Claim, step: StepDefinition, failure: Failure) -> Ending:
        log.warning(
            "step.probe_failed",
            workflow_id=str(claim.workflow_id),
            step=step.id,
            dependency=step.depends_on,
            reason=failure.reason,
            correlation_id=claim.correlation_id,
        )
        put_off = RetryIn(0, 0, SHORT_HOLD, failure.retry_after or timedelta(0))
        delay = put_off.jittered(random.random())  # noqa: S311  # jitter
        return await self._leave.to_pool(claim, step.pool, delay)

    async def _commit_success(
        self, held: Held, turn: Turn, result: Succeeded, budget: Budget
    ) -> Failed | Ending | None:
        try:
            state = read_back(result.state)
            commit = after_success(turn, state, must_leave=lambda step: self._must_leave(step, budget))
            self._reach(CrashPoint.BEFORE_COMMIT)
            committed = await self._store.commit_step(commit)
        except StateNotStorable as error:
            return Failed(classify(error))
        self._reach(CrashPoint.AFTER_COMMIT)
        self._outlet.send(commit.outgoing, committed)
        self._steps_committed.inc()
        if held.on_commit is not None:
            held.on_commit()
        if commit.status is WorkflowStatus.COMPLETED and not committed.paused:
            self._completed.inc()
        if commit.release or committed.paused or committed.waiting:
            return Ending.DONE
        held.move_to(_after(commit, committed), state.value)
        return None

    async def _commit_failure(self, held: Held, turn: Turn, failure: Failure, delivery: Delivery) -> Ending | None:
        commit = after_failure(turn, failure, self._rules, dead_letter=not delivery.can_be_rejected)
        committed = await self._store.commit_failure(commit)
        self._reach(CrashPoint.AFTER_FAILURE_COMMIT)
        self._outlet.send(commit.outgoing, committed)
        self._report(turn, commit)
        if commit.status is WorkflowStatus.EXECUTING and not committed.paused:
            claim = held.claim
            again = claim._replace(retry_count=claim.retry_count + 1, failed_attempts=commit.attempt)
            # The failed attempt may have changed the state in place.
            held.move_to(again, decode_state(claim.state))
            return None
        is_given_up = commit.status is WorkflowStatus.FAILED
        return Ending.GIVEN_UP if is_given_up and delivery.can_be_rejected else Ending.DONE

    def _report(self, turn: Turn, commit: FailureCommit) -> None:
        claim, given_up = turn.claim, commit.status is WorkflowStatus.FAILED
        self._metrics.steps.labels("failed").inc()
        facts: dict[str, Any] = {
            "workflow_id": str(claim.workflow_id),
            "definition": claim.definition,
            "step": turn.step.id,
            "attempt": commit.attempt,
            "kind": commit.failure.kind.value,
            "reason": commit.failure.reason,
            "correlation_id": claim.correlation_id,
        }
        if given_up:
            self._metrics.finished.labels("Failed").inc()
            log.error(
                "step.given_up", retries=claim.retry_count, exception=frames_only(commit.failure.traceback), **facts
            )
            return
        self._metrics.retries.inc()
        delay = 0.0 if commit.delay is None else commit.delay.total_seconds()
        log.warning("step.retry", retry=claim.retry_count + 1, delay_seconds=round(delay, 3), **facts)

    def _must_leave(self, step: StepDefinition, budget: Budget) -> bool:
        return step.pool not in self._rules.pools or budget.is_spent or self._holdings.is_draining

    async def _fenced(self, held: Held, delivery: Delivery) -> Ending:
        """Somebody else has the workflow; or nobody, because the database died and forgot the claim: ask again."""
        if await self._store.is_forgotten(held.claim.workflow_id, delivery.command_id):
            raise ClaimForgotten(f"the database lost the claim on {held.claim.workflow_id}")
        return self._stale("fenced")

    async def _interrupted(self, held: Held, why: Interruption, delivery: Delivery) -> Ending:
        if why is Interruption.LOST:
            return await self._fenced(held, delivery)
        try:
            return await self._leave.to_pool(held.claim, self._pool_of(held.claim, delivery))
        except Fenced:
            return self._stale("fenced")

    def _pool_of(self, claim: Claim, delivery: Delivery) -> str:
        definition = self._registry.find(claim.definition, claim.version)
        step = None if definition is None else definition.step_at(claim.step_index)
        return delivery.pool if step is None else step.pool

    def _stale(self, reason: str) -> Ending:
        self._metrics.stale.labels(reason).inc()
        return Ending.DONE


def _nothing_to_restart() -> None:
    """A sign of life of a step that has no heartbeat time limit."""


def _stands_on_intact(claim: Claim, state: Any) -> bool:
    mark = claim.checkpoint
    if mark is None:
        expected = claim.input_checksum
        return expected is None or is_intact_input(claim.workflow_id, canonical(state), expected)
    place = Position(claim.workflow_id, claim.checkpoint_seq or 0, mark.step_index, mark.step_id)
    return is_intact(place, canonical(state), mark.checksum)


def _after(commit: StepCommit, committed: Committed) -> Claim:
    # The checkpoint was just made here, so there is no need to verify it again before the next step.
    claim = commit.claim
    # Every field by its name takes half the time of `replace`, and this runs after each step.
    return Claim(
        workflow_id=claim.workflow_id,
        token=claim.token,
        definition=claim.definition,
        version=claim.version,
        owner_id=claim.owner_id,
        correlation_id=claim.correlation_id,
        step_index=claim.step_index + 1,
        current_step=commit.next_step,
        retry_count=0,
        failed_attempts=committed.earlier_attempts,
        commits=committed.earlier_commits,
        last_seq=claim.last_seq + 1,
        checkpoint_seq=claim.last_seq + 1,
        state=commit.state,
        inputs=committed.inputs,
    )
