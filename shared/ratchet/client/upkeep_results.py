"""What the operators' routes tell, typed: bulk recoveries, parked messages, failure groups, previews, the platform."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from ratchet.client.results import View
from ratchet.domain.breaker import BreakerState
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome
from ratchet.domain.dependency import DependencyState
from ratchet.domain.json_diff import ChangeKind


class FailureGroup(View):
    """Failures that look alike; `fingerprint` names it in filters, `trend` counts the last 24 hours, oldest first."""

    fingerprint: str
    definition: str
    step: str | None = None
    error_class: str | None = None
    message: str
    count: int
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    newest_workflow_id: UUID | None = None
    trend: tuple[int, ...] = ()


class BulkPreview(View):
    """What a bulk recovery with this filter would take up now."""

    total: int
    groups: tuple[FailureGroup, ...] = ()


class BulkStarted(View):
    """The selection is frozen; recovery works on it."""

    recovery_id: UUID
    total: int


class BulkRecovery(View):
    """A bulk recovery as far as it has come: `started` were begun, `open` of them have no outcome yet."""

    recovery_id: UUID
    state: BulkState
    detail: str | None = None
    filter: dict[str, Any] = Field(default_factory=dict)
    actor: str
    reason: str | None = None
    canary: int = 0
    requested_at: datetime | None = None
    finished_at: datetime | None = None
    total: int
    started: int = 0
    open: int = 0
    verified: int = 0
    relapsed: int = 0
    failed: int = 0
    skipped: int = 0
    pending: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it begins nothing more and everything it began has an outcome, or it will not wait for it."""
        return self.state is not BulkState.RUNNING


class BulkItem(View):
    """One workflow of the selection."""

    workflow_id: UUID
    outcome: ItemOutcome
    recovery_id: str | None = None
    detail: str | None = None


class BulkProgress(BulkRecovery):
    """A bulk recovery with one page of its items."""

    items: tuple[BulkItem, ...] = ()
    next_cursor: str | None = None


class ParkedMessage(View):
    """A message that nobody could act on; a body that is no text is in base64 and cannot be sent again."""

    id: UUID
    message_id: str | None = None
    type: str | None = None
    exchange: str
    routing_key: str
    headers: dict[str, str] = Field(default_factory=dict)
    correlation_id: str | None = None
    reason: str
    body: str
    body_is_text: bool = True
    parked_by: str | None = None
    parked_at: datetime | None = None
    resolution: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolution_reason: str | None = None
    outcome: str | None = None
    outcome_at: datetime | None = None


class ParkedSettled(View):
    """What became of a parked message: replayed or discarded.

    `outcome` of a replay: `carried-out`, `parked-again` (`reason` says why), `sent` where nothing would show it, or
    None while nothing has.
    """

    id: UUID
    resolution: str
    outcome: str | None = None
    reason: str | None = None


class StepToRun(View):
    """A step that would run; `already_done`: it was committed, and would be done again under a new key."""

    step_id: str
    optional: bool = False
    waits_for_command: bool = False
    executions: int = 0
    already_done: bool = False
    last_committed_at: datetime | None = None
    idempotency_key: str = ""


class StateChange(View):
    """One difference between the present state and the restored one; `path` is a JSON pointer."""

    op: ChangeKind
    path: str
    before: Any = None
    after: Any = None


class RestorePreview(View):
    """What a restore would do; without a checkpoint it would start again from its input. Nothing has happened yet."""

    workflow_id: UUID
    checkpoint_seq: int | None = None
    allowed: bool
    problem: str | None = None
    detail: str | None = None
    resumed_step: str | None = None
    resumed_from: datetime | None = None
    steps: tuple[StepToRun, ...] = ()
    state_diff: tuple[StateChange, ...] = ()
    diff_truncated: bool = False
    damaged_checkpoints: tuple[int, ...] = ()
    would_run: str | None = None
    """The step that would run in the place of the one that had failed; refused unless `run_instead` names it."""


class AuditEntry(View):
    """Who did what, when, why, and how it ended."""

    id: int
    at: datetime
    workflow_id: UUID | None = None
    actor: str
    action: str
    reason: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    outcome: str
    correlation_id: str | None = None


class QueueState(View):
    """A queue of the broker; no numbers when it does not exist."""

    name: str
    messages: int | None = None
    consumers: int | None = None


class DependencyStanding(View):
    """Something that steps depend on; `state` is None while Redis does not answer."""

    name: str
    state: DependencyState | None = None
    changed_at: datetime | None = None
    probe_at: datetime | None = None


class Unserved(View):
    """Workflows that no executor can run now."""

    definition: str
    version: int
    pool: str
    workflows: int
    since: datetime | None = None


class Overview(View):
    """How the platform stands, up to two seconds old."""

    failed: int
    executing: int
    in_progress: int
    waiting_for_retry: int
    waiting_for_command: int
    waiting_in_line: int = 0
    without_executor: int = 0
    unserved: tuple[Unserved, ...] = ()
    outbox: int
    oldest_message_at: datetime | None = None
    parked: int
    requests_waiting: int = 0
    oldest_request_at: datetime | None = None
    recovery_silent_since: datetime | None = None
    executors_at_work: int
    broker_reachable: bool
    queues: tuple[QueueState, ...] = ()
    dependencies: tuple[DependencyStanding, ...] = ()


class ScanBreaker(View):
    """Whether the restart scan rescues; `verified` and `relapsed` count recent automatic recoveries."""

    state: BreakerState
    changed_at: datetime | None = None
    probe_at: datetime | None = None
    verified: int = 0
    relapsed: int = 0
    pending: int = 0


class ScanReport(View):
    """The restart scan: its breaker, and what the last one did."""

    breaker: ScanBreaker
    scanned_at: datetime | None = None
    resumed: int = 0
    failed: int = 0
    attended: int = 0
    held_back: int = 0


class ScanRequested(View):
    """A scan was asked for."""

    requested: bool = True
