"""What the operators' routes answer, as it looks on the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from ratchet.domain.audit_chain import Flaw
from ratchet.domain.breaker import BreakerState
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome
from ratchet.domain.json_diff import ChangeKind

from admin_api.answers import View


class StepToRun(View):
    """A step that would run."""

    step_id: str
    optional: bool
    waits_for_command: bool
    executions: int = Field(description="How often it was run before, whatever came of it.")
    already_done: bool = Field(
        description="It was committed before and would be done again, under a new idempotency key."
    )
    last_committed_at: datetime | None
    idempotency_key: str = Field(
        description="What `ctx.idempotency_key` would be: the same as before for a step that has not committed."
    )


class StateChange(View):
    """One difference between the present state and the restored one."""

    op: ChangeKind = Field(validation_alias="kind")
    path: str = Field(description="Where, as a JSON pointer.")
    before: Any
    after: Any


class RestorePreview(View):
    """What a restore would do; nothing has happened yet."""

    workflow_id: UUID
    checkpoint_seq: int | None = Field(description="null: it would start again from its input.")
    allowed: bool
    problem: str | None = Field(description="Why it would be refused or fail.")
    detail: str | None
    resumed_step: str | None = Field(description="null: every step is done.")
    resumed_from: datetime | None
    steps: list[StepToRun] = Field(description="In the order in which they would run.")
    state_diff: list[StateChange]
    diff_truncated: bool
    damaged_checkpoints: list[int]
    would_run: str | None = Field(
        description="The definition has changed: this step would run in the place of the one that had failed, which is "
        "refused unless `runInstead` names it. `(nothing)`: it would be Completed."
    )


class BulkRequested(View):
    """The selection is frozen; recovery works on it."""

    recovery_id: UUID
    total: int


class BulkSummary(View):
    """A bulk recovery as far as it has come."""

    recovery_id: UUID
    state: BulkState
    detail: str | None = Field(description="Why it was stopped or cancelled.")
    filter: dict[str, Any] = Field(description="As it was asked for; `workflowIds` or `all` where that was meant.")
    actor: str
    reason: str
    canary: int
    rate: int | None
    requested_at: datetime
    finished_at: datetime | None
    total: int
    started: int = Field(description="Recoveries that were begun, whatever came of them.")
    open: int = Field(description="Of these, the ones without an outcome yet.")
    verified: int
    relapsed: int
    failed: int
    skipped: int
    pending: int


class BulkItem(View):
    """One workflow of the selection."""

    workflow_id: UUID
    outcome: ItemOutcome
    recovery_id: str | None
    detail: str | None


class BulkProgress(BulkSummary):
    """A bulk recovery with a page of its items."""

    items: list[BulkItem]
    next_cursor: str | None


class AuditLine(View):
    """Who did what, when, why, and how it ended."""

    id: int
    at: datetime
    workflow_id: UUID | None
    actor: str
    action: str
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    outcome: str
    correlation_id: str


class AuditFinding(View):
    """Something wrong with the log."""

    kind: Flaw = Field(validation_alias="flaw")
    audit_id: int | None
    position: int | None


class ChainHead(View):
    """The newest link; keep it elsewhere and pass it to the next check."""

    position: int
    hash: str


class AuditVerified(View):
    """What a check of the whole log found."""

    intact: bool
    checked: int
    unsealed: int = Field(description="New entries that will be put in the chain in a moment.")
    findings: list[AuditFinding]
    head: ChainHead


class Parked(View):
    """A message that nobody could act on."""

    id: UUID
    message_id: str | None
    type: str | None
    exchange: str
    routing_key: str
    headers: dict[str, str]
    correlation_id: str | None
    reason: str
    body: str
    body_is_text: bool = Field(description="False: the body is in base64, and cannot be sent again.")
    parked_by: str
    parked_at: datetime
    resolution: str | None = Field(description="`replayed`, `discarded`, or null while it is open.")
    resolved_at: datetime | None
    resolved_by: str | None
    resolution_reason: str | None
    outcome: str | None = Field(
        description="Of a replayed one: `carried-out`, `parked-again` (in a row of its own), `sent` (nothing would "
        "show it), `unknown` (nothing has shown it for a day), or null while nobody knows."
    )
    outcome_at: datetime | None


class ParkedSettled(View):
    """What became of a parked message."""

    id: UUID
    resolution: str
    outcome: str | None = Field(
        description="Whether a replay helped: `carried-out`, `parked-again`, `sent` (nothing would show it), or null: "
        "nothing has shown it yet. It is kept with the message."
    )
    reason: str | None = Field(description="Why it was parked again.")


class BreakerView(View):
    """The scan's breaker."""

    state: BreakerState
    changed_at: datetime
    probe_at: datetime | None = Field(description="While open: when a few are rescued to see whether it helps.")
    verified: int = Field(description="Recent automatic recoveries that helped (while probing: of the probes).")
    relapsed: int
    pending: int


class ScanView(View):
    """The restart scan."""

    breaker: BreakerView
    scanned_at: datetime | None
    resumed: int = Field(description="By the last scan.")
    failed: int
    attended: int = Field(description="Failed workflows whose dead letter was lost.")
    held_back: int = Field(description="Interrupted workflows left alone because of the breaker.")


class ScanRequested(View):
    """A scan was asked for."""

    requested: bool = True
