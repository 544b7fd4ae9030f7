"""From a step's result to the commit that records it: pure planning, the ids and times passed in."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.failure import Failure
from ratchet.domain.retry import GiveUp, RetryIn, plan_retry
from ratchet.domain.workflow import FailureKind, WorkflowStatus
from ratchet.messages import events
from ratchet.messages.commands import CONTINUE, GIVEN_UP, ContinueWorkflow, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import Event, EventType, Subject, announce
from ratchet.messages.routes import DEAD, Route, to_pool
from ratchet.ports import Claim, FailureCommit, StepCommit
from ratchet.state import EncodedState, canonical

from executor.rules import Rules


class Turn(NamedTuple):
    """One execution of one step, and the sources of what must not be made up in a pure function."""

    claim: Claim
    definition: WorkflowDefinition
    step: StepDefinition
    started_at: datetime
    ended_at: datetime
    new_id: Callable[[], str]
    jitter: float = 0.0

    @property
    def attempt(self) -> int:
        """This execution's number for its step, the first being 1."""
        return self.claim.failed_attempts + 1

    def announce(self, event: Event) -> Outgoing:
        """An event about this workflow."""
        return announce(event, subject_of(self.claim), event_id=self.new_id(), at=self.ended_at)

    def hand_on(self, command_id: str, route: Route, delay: timedelta | None = None) -> Outgoing:
        """The command that brings this workflow to its next executor."""
        claim = self.claim
        return continue_command(claim.workflow_id, command_id, route, correlation_id=claim.correlation_id, delay=delay)


def after_success(turn: Turn, state: EncodedState, *, must_leave: Callable[[StepDefinition], bool]) -> StepCommit:
    """The commit of a done step; `state` is what its result reads back as.

    The claim is kept for the next step unless there is none, or `must_leave` says that others run it.
    """
    claim, step = turn.claim, turn.step
    following = turn.definition.step_at(claim.step_index + 1)
    status, command_id, outgoing = WorkflowStatus.EXECUTING, None, tuple[Outgoing, ...]()
    if following is None:
        status = WorkflowStatus.COMPLETED
        outgoing = (turn.announce(events.plain(EventType.COMPLETED)),)
    elif not following.waits_for_command and must_leave(following):
        status, command_id = WorkflowStatus.IN_PROGRESS, turn.new_id()
        outgoing = (turn.hand_on(command_id, to_pool(following.pool)),)
    place = Position(claim.workflow_id, claim.last_seq + 1, claim.step_index, step.id)
    return StepCommit(
        claim=claim,
        step_id=step.id,
        attempt=turn.attempt,
        state=state.text.decode(),
        checksum=checksum(place, canonical(state.value)),
        started_at=turn.started_at,
        status=status,
        next_step=None if following is None else following.id,
        next_waits=following is not None and following.waits_for_command,
        release=status is not WorkflowStatus.EXECUTING,
        command_id=command_id,
        outgoing=outgoing,
    )


def after_failure(turn: Turn, failure: Failure, rules: Rules, *, dead_letter: bool) -> FailureCommit:
    """The commit of a failed attempt: retried at once, retried later, or given up.

    `dead_letter` adds the notice to recovery where there is no delivery to reject.
    """
    decision = plan_retry(
        rules.retry_of(turn.step),
        retries_done=turn.claim.retry_count,
        transient=failure.is_transient,
        retry_after=failure.retry_after,
    )
    match decision:
        case RetryIn():
            return _retry(turn, failure, decision, rules)
        case GiveUp():
            return _give_up(turn, failure, exhausted=decision.exhausted, dead_letter=dead_letter)


def _retry(turn: Turn, failure: Failure, decision: RetryIn, rules: Rules) -> FailureCommit:
    delay = decision.jittered(turn.jitter)
    outgoing = [
        turn.announce(
            events.step_retrying(
                turn.step.id,
                retry=decision.retry,
                limit=decision.limit,
                next_attempt_at=turn.ended_at + delay,
                reason=failure.reason,
            )
        )
    ]
    command_id = None
    if delay:
        command_id = turn.new_id()
        route, stay = rules.route_after(turn.step.pool, delay)
        outgoing.append(turn.hand_on(command_id, route, stay))
    return _failure_commit(
        turn,
        failure,
        status=WorkflowStatus.IN_PROGRESS if delay else WorkflowStatus.EXECUTING,
        delay=delay or None,
        command_id=command_id,
        outgoing=tuple(outgoing),
    )


def _give_up(turn: Turn, failure: Failure, *, exhausted: bool, dead_letter: bool) -> FailureCommit:
    message = events.EXHAUSTED if exhausted else events.PERMANENT
    outgoing = [
        turn.announce(
            events.step_failed(turn.step.id, reason=failure.reason, message=message, can_skip=turn.step.optional)
        )
    ]
    if dead_letter:
        claim = turn.claim
        outgoing.append(dead_letter_for(claim.workflow_id, turn.new_id(), claim.correlation_id))
    return _failure_commit(turn, failure, status=WorkflowStatus.FAILED, outgoing=tuple(outgoing))


def _failure_commit(
    turn: Turn,
    failure: Failure,
    *,
    status: WorkflowStatus,
    outgoing: tuple[Outgoing, ...],
    delay: timedelta | None = None,
    command_id: str | None = None,
) -> FailureCommit:
    return FailureCommit(
        claim=turn.claim,
        step_id=turn.step.id,
        attempt=turn.attempt,
        failure=failure,
        started_at=turn.started_at,
        status=status,
        delay=delay,
        command_id=command_id,
        outgoing=outgoing,
    )


def damaged(seq: int | None) -> Failure:
    """What is recorded when the checkpoint to go on from cannot be trusted."""
    what = "the input" if seq is None else f"checkpoint {seq}"
    reason = f"CheckpointDamaged: {what} does not match its checksum"
    return Failure(FailureKind.PERMANENT, "CheckpointDamaged", reason)


def changed(claim: Claim) -> Failure:
    """What is recorded when the code here has another step in the place where the workflow stands."""
    where = f"step {claim.step_index} of {claim.definition} version {claim.version}"
    reason = f"DefinitionChanged: {where} is not {claim.current_step} here; changed steps need a new version"
    return Failure(FailureKind.PERMANENT, "DefinitionChanged", reason)


def subject_of(claim: Claim) -> Subject:
    """The workflow, as events name it."""
    return Subject(claim.workflow_id, claim.owner_id, claim.correlation_id)


def continue_command(
    workflow_id: UUID, command_id: str, route: Route, *, correlation_id: str, delay: timedelta | None = None
) -> Outgoing:
    """The command that wakes the executors of a pool; `delay` is its stay in a delay queue."""
    return Outgoing(route, command_id, CONTINUE, _body(workflow_id), correlation_id, delay=delay or None)


def dead_letter_for(workflow_id: UUID, message_id: str, correlation_id: str) -> Outgoing:
    """Tells recovery to look at a workflow, in place of a rejected delivery."""
    return Outgoing(Route(DEAD, ""), message_id, GIVEN_UP, _body(workflow_id), correlation_id)


def new_id() -> str:
    """A fresh message id."""
    return str(uuid4())


def _body(workflow_id: UUID) -> bytes:
    return encode(ContinueWorkflow(workflow_id=workflow_id))
