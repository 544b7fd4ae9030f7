"""What the routes answer, as it looks on the wire."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from ratchet.domain.dependency import DependencyState
from ratchet.domain.workflow import FailureKind, WorkflowStatus


class View(BaseModel):
    """camelCase on the wire; read from whatever has the same attributes."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, from_attributes=True, frozen=True)


class WorkflowSummary(View):
    """Where a workflow stands."""

    workflow_id: UUID
    definition: str
    version: int
    owner_id: str
    status: WorkflowStatus
    current_step: str | None = Field(description="The step that runs, waits or failed; null before and after.")
    retry_count: int = Field(description="Retries of the current step since its last fresh start.")
    failure_kind: FailureKind | None
    failure_class: str | None = Field(description="The type of the error.")
    failure_reason: str | None
    failed_at: datetime | None
    requires_manual_intervention: bool = Field(description="Nothing automatic is left to try.")
    waiting_for: str | None = Field(description="The step that waits for a `step.execute` command.")
    next_attempt_at: datetime | None
    last_checkpoint_at: datetime | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    correlation_id: str
    failure_fingerprint: str | None = Field(description="The failure group it belongs to.")


class Step(View):
    """One step of the definition and how far the workflow is with it."""

    step_id: str
    optional: bool = Field(description="Whether the step may be skipped.")
    pool: str
    waits_for_command: bool
    status: str = Field(description="`done`, `skipped`, `current` or `pending`.")
    committed_at: datetime | None


class RequestOnItsWay(View):
    """Something that was asked for and that recovery has not answered yet."""

    recovery_id: str = Field(validation_alias="id")
    kind: str
    actor: str
    reason: str | None
    at: datetime


class WorkflowAnswer(WorkflowSummary):
    """A workflow with its steps and its present state."""

    steps: list[Step]
    state: Any = Field(description="The newest checkpoint's state, or the input; null before it has begun.")
    requests: list[RequestOnItsWay] = Field(description="Asked for and not answered yet, oldest first.")
    archived: bool = Field(description="It lies in the archive, from where a restore or recovery brings it back.")
    archived_at: datetime | None
    held_up_by: Literal["no-executor", "line"] | None = Field(
        description="Why it does not go on though it should: no executor can run it now (it goes on by itself when one "
        "can), or its retry is due (`nextAttemptAt` is past) and waits in line."
    )
    held_up_since: datetime | None
    failed_attempt: int | None = Field(
        description="The attempt that it failed with; as `failedAttempt` of an action it means this failure only."
    )
    etag: str = Field(description="As in the `ETag` header; `If-Match` of an action means the workflow as it is now.")


class Attempt(View):
    """One execution of a step."""

    step_id: str
    attempt: int = Field(description="1 is the first execution of the step.")
    outcome: str = Field(description="`failed` or `succeeded`.")
    kind: FailureKind | None
    error_class: str | None
    reason: str | None
    correlation_id: str | None
    executor: str | None
    started_at: datetime | None
    finished_at: datetime
    next_attempt_at: datetime | None
    traceback: str | None = Field(description="Where in the step's code it came from; for support and admins.")


class Checkpoint(View):
    """A committed step. The workflow stands on the `current` one; restoring moves that and keeps the rest."""

    seq: int = Field(description="The checkpoint's number, unique within the workflow.")
    parent_seq: int | None
    step_index: int
    step_id: str
    attempt: int
    skipped: bool
    executor: str | None
    started_at: datetime | None
    committed_at: datetime
    current: bool = Field(description="The workflow goes on after this one.")


class CheckpointWithState(Checkpoint):
    """A checkpoint with what it holds."""

    state: Any
    intact: bool = Field(description="Whether content and position match the checksum.")


class HistoryEvent(View):
    """Something that was told to the owner or the staff."""

    id: str
    type: str
    time: datetime
    data: dict[str, Any]


class HistoryRecovery(View):
    """A recovery, automatic or asked for."""

    recovery_id: str
    kind: str
    actor: str
    reason: str | None
    outcome: str
    problem: str | None
    detail: str | None
    resumed_from: datetime | None
    resumed_step: str | None
    checkpoint_seq: int | None
    damaged_checkpoints: list[int]
    attempted_at: datetime
    verification: str | None = Field(
        description=(
            "Whether it helped: `pending` until the step that had failed has passed (`verified`), has failed again "
            "(`relapsed`), or somebody did something else (`superseded`). null where there is nothing to wait for."
        )
    )
    settled_at: datetime | None


class History(View):
    """What happened to a workflow, oldest first."""

    attempts: list[Attempt]
    checkpoints: list[Checkpoint]
    events: list[HistoryEvent]
    recoveries: list[HistoryRecovery]
    truncated: bool = Field(description="True when the oldest entries are left out.")


class WorkflowStarted(View):
    """The workflow will run; nothing of it may have happened yet."""

    workflow_id: UUID


class WorkflowRecoveryResult(View):
    """A recovery, retry, skip, restore, override, cancel, pause or resume that took effect."""

    workflow_id: UUID
    recovery_id: str
    success: bool
    status: WorkflowStatus | None = Field(description="The workflow's status right afterwards.")
    resumed_from: datetime | None = Field(description="Time of the checkpoint; null when it goes on from its input.")
    resumed_step: str | None = Field(description="The step that runs next.")
    damaged_checkpoints: list[int] = Field(description="Numbers of checkpoints that were passed over as damaged.")


class FailureGroup(View):
    """Failures that look alike."""

    fingerprint: str = Field(description="Its name: `group` in filters.")
    definition: str
    step: str | None
    error_class: str | None
    message: str = Field(description="The reason with ids and numbers taken out: `<id>`, `<n>`.")
    count: int
    first_seen: datetime
    last_seen: datetime
    newest_workflow_id: UUID
    trend: list[int] = Field(description="How many came in each of the last 24 hours, oldest hour first.")


class QueueState(View):
    """A queue of the broker; null for both numbers when it does not exist."""

    name: str
    messages: int | None = Field(description="Ready for delivery.")
    consumers: int | None


class DependencyStanding(View):
    """Something that steps depend on, and whether they are held back because it is down."""

    name: str
    state: DependencyState | None = Field(
        description="`open`: held back. `probing`: let go in growing waves. Null while Redis does not answer."
    )
    changed_at: datetime | None
    probe_at: datetime | None = Field(description="When the next step may try, if it is open.")


class Unserved(View):
    """Workflows that no executor can run now: none has their definition and serves the pool of their step."""

    definition: str
    version: int
    pool: str
    workflows: int
    since: datetime


class Overview(View):
    """How the platform stands."""

    failed: int
    executing: int
    in_progress: int = Field(description="Accepted or between two steps.")
    waiting_for_retry: int = Field(description="Due later: a retry, or a step whose dependency is down.")
    waiting_for_command: int
    waiting_in_line: int = Field(description="Their retry is due and waits behind other commands of its pool.")
    without_executor: int = Field(description="No executor can run them now; they go on by themselves when one can.")
    unserved: list[Unserved] = Field(description="What these need, the most wanted first; at most 20.")
    outbox: int = Field(description="Messages that are committed and not yet confirmed by the broker.")
    oldest_message_at: datetime | None = Field(description="Since when the oldest of them waits.")
    parked: int = Field(description="Messages that nobody could act on, neither replayed nor discarded yet.")
    requests_waiting: int = Field(description="What people asked for and recovery has not answered yet.")
    oldest_request_at: datetime | None = Field(description="Since when the oldest of them waits.")
    recovery_silent_since: datetime | None = Field(
        description="null while recovery answers. Without it failures are not looked after and requests wait."
    )
    executors_at_work: int = Field(description="Executors that hold a workflow right now.")
    broker_reachable: bool
    queues: list[QueueState]
    dependencies: list[DependencyStanding] = Field(description="Everything that a registered step depends on.")


class RecoveryRequested(View):
    """The recovery service has not answered in time; it will."""

    workflow_id: UUID
    recovery_id: str
    outcome: str = Field("requested", description="Always `requested`.")
    location: str = Field(description="Where the outcome will be.")


class RecoveryState(View):
    """A recovery as far as it has come."""

    recovery_id: str
    workflow_id: UUID
    kind: str
    actor: str
    reason: str | None
    outcome: str = Field(
        description="`requested` until something has come of it, then `resumed`, `done`, `failed` or `refused`."
    )
    success: bool | None = Field(description="null until something has come of it.")
    problem: str | None
    detail: str | None
    status: WorkflowStatus | None
    resumed_from: datetime | None
    resumed_step: str | None
    checkpoint_seq: int | None
    damaged_checkpoints: list[int]
    at: datetime


Item = TypeVar("Item")


class Page(View, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


class FailureGroups(Page[FailureGroup]):
    """One page of failure groups."""

    total: int = Field(description="How many failed workflows match, in all groups together.")
