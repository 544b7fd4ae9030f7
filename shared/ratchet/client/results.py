"""What the admin API tells, typed. Members that this version does not know are kept, so nothing is lost on the way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ratchet.domain.workflow import FINAL, WorkflowStatus


class View(BaseModel):
    """camelCase on the wire, snake_case in Python; `to_json()` gives the wire form back."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="allow", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """The members as they were sent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class StepView(View):
    """A step of a workflow's definition and how far the workflow is with it: done, skipped, current or pending."""

    step_id: str
    optional: bool = False
    pool: str | None = None
    waits_for_command: bool = False
    status: str | None = None
    committed_at: datetime | None = None


class WorkflowSummary(View):
    """A workflow as lists show it."""

    workflow_id: UUID
    definition: str
    version: int | None = None
    owner_id: str
    status: WorkflowStatus
    current_step: str | None = None
    waiting_for: str | None = None
    retry_count: int = 0
    failure_kind: str | None = None
    failure_reason: str | None = None
    failed_at: datetime | None = None
    requires_manual_intervention: bool = False
    last_checkpoint_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it moves no further unless somebody acts: Completed, Cancelled or Failed."""
        return self.status in FINAL or self.status is WorkflowStatus.FAILED


class RequestView(View):
    """Something that was asked for and that recovery has not answered yet."""

    recovery_id: str
    kind: str
    actor: str
    reason: str | None = None
    at: datetime | None = None


class WorkflowView(WorkflowSummary):
    """One workflow with its steps and its state: the newest checkpoint's, or the input.

    An archived one is brought back by what is done to it.
    """

    steps: tuple[StepView, ...] = ()
    requests: tuple[RequestView, ...] = ()
    next_attempt_at: datetime | None = None
    archived: bool = False
    archived_at: datetime | None = None
    held_up_by: str | None = None
    held_up_since: datetime | None = None
    state: Any = None
    failed_attempt: int | None = None
    """The number of the attempt that it failed with."""
    etag: str | None = None
    """Names the workflow as it stands now, for `if_match` of an action."""

    def step(self, step_id: str | None) -> StepView | None:
        """The step of that id, if the definition has it."""
        return next((step for step in self.steps if step.step_id == step_id), None)


class AttemptView(View):
    """One execution of a step."""

    step_id: str
    attempt: int
    outcome: str | None = None
    kind: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    traceback: str | None = None


class CheckpointView(View):
    """A committed step; the workflow stands on the `current` one. Lists to restore from have `state` and `intact`."""

    seq: int
    step_id: str
    skipped: bool = False
    current: bool = False
    intact: bool | None = None
    state: Any = None
    committed_at: datetime | None = None


class EventView(View):
    """Something that was announced."""

    type: str
    time: datetime | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class RecoveryView(View):
    """A recovery of any kind, by itself or asked for.

    `verification` says whether it helped: pending, verified, relapsed, superseded, or None where nothing is awaited.
    """

    recovery_id: str
    kind: str
    actor: str | None = None
    reason: str | None = None
    outcome: str | None = None
    detail: str | None = None
    attempted_at: datetime | None = None
    verification: str | None = None
    settled_at: datetime | None = None


class History(View):
    """All that happened to a workflow, oldest first; `truncated` says that older entries are left out."""

    attempts: tuple[AttemptView, ...] = ()
    checkpoints: tuple[CheckpointView, ...] = ()
    events: tuple[EventView, ...] = ()
    recoveries: tuple[RecoveryView, ...] = ()
    truncated: bool = False


class StartedWorkflow(View):
    """A start was taken; from here on it is not lost."""

    workflow_id: UUID


class RecoveryResult(View):
    """What a manual action led to.

    `success` is None while the outcome is not known: the recovery service has not answered yet, but it will.
    """

    success: bool | None = None
    status: WorkflowStatus | None = None
    resumed_from: datetime | None = None
    resumed_step: str | None = None
    recovery_id: str | None = None
    damaged_checkpoints: Sequence[int] = ()


class RecoveryState(RecoveryResult):
    """A manual action whose outcome was not known at first, as far as it has come."""

    outcome: str | None = None
    problem: str | None = None
    detail: str | None = None


Item = TypeVar("Item")


class Page(View, Generic[Item]):
    """Part of a list; ask again with `cursor=next_cursor` while that is not None."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class AuditFlaw(View):
    """Something wrong with the audit log."""

    kind: str
    audit_id: int | None = None
    position: int | None = None


class AuditHead(View):
    """The newest link of the audit log's chain."""

    position: int
    hash: str


class AuditVerification(View):
    """What a check of the audit log found; `unsealed` entries are too new to be chained."""

    intact: bool
    checked: int
    unsealed: int
    findings: tuple[AuditFlaw, ...] = ()
    head: AuditHead
