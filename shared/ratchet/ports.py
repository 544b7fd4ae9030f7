"""What use cases ask of the stores: requests and answers as plain values, and the protocols that stores fulfil.

Those made for every step are named tuples: as frozen dataclasses they would take three times as long to make.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from ratchet.domain.checkpoint import Position
from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.errors import ClaimForgotten as ClaimForgotten  # noqa: PLC0414  # stores raise it: a part of the port
from ratchet.domain.errors import Fenced as Fenced  # noqa: PLC0414  # the same
from ratchet.domain.failure import Failure
from ratchet.domain.interruption import Interruption
from ratchet.domain.recovery import Problem, RecoveryKind, RecoveryOutcome, StoredCheckpoint
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.envelope import Incoming, Outgoing
from ratchet.presence_ports import KeepsAside
from ratchet.verdicts import InputsVerdict


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A start command resolved against its definition."""

    workflow_id: UUID
    definition: str
    version: int
    owner_id: str
    input: str
    content_hash: bytes
    correlation_id: str
    command_id: str
    first_step: str
    first_step_waits: bool
    claim: UUID | None
    """A token to insert the workflow as claimed already; None to leave it to whoever gets its command."""
    input_checksum: bytes | None = None


class StartVerdict(StrEnum):
    """What a start command turned out to be."""

    NEW = "new"
    AGAIN = "again"
    """The very message that started it: a redelivery."""
    KNOWN = "known"
    """Another message with the same content: nothing to do."""
    CONFLICT = "conflict"
    """Same id, other content."""


class ClaimVerdict(StrEnum):
    """What came of asking for a workflow."""

    GRANTED = "granted"
    UNKNOWN = "unknown"
    STALE = "stale"
    """The message is not the one that may advance it."""
    EARLY = "early"
    """Its retry is not due yet."""
    BUSY = "busy"
    """Somebody else holds it on a valid lease."""
    HELD = "held"
    """Its message came back, but its holder lives: it lost its connection, or its loop is blocked."""
    ABANDONED = "abandoned"
    """Its holder is gone: it may be taken over."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Ask for a workflow in the name of a message."""

    workflow_id: UUID
    command_id: str
    token: UUID
    redelivered: bool
    take_over: bool = False


class Claim(NamedTuple):
    """The right to advance one workflow, and everything needed to do so. `state` is the JSON text of its checkpoint."""

    workflow_id: UUID
    token: UUID
    definition: str
    version: int
    owner_id: str
    correlation_id: str
    step_index: int
    current_step: str | None
    """The id of the step at that place when the workflow came to it; None after the last one."""
    retry_count: int
    failed_attempts: int
    commits: int
    """How often the step was committed before (after a restore it was): its idempotency key counts them."""
    last_seq: int
    checkpoint_seq: int | None
    state: str
    checkpoint: "CheckpointMark | None" = None
    inputs: str | None = None
    input_checksum: bytes | None = None
    """Of the state, where that is the input as it was kept; None where it comes from elsewhere or has none."""


class StoredInput(NamedTuple):
    """The state before the first step, and whether it still is what was accepted."""

    state: Any
    is_intact: bool


class CheckpointMark(NamedTuple):
    """The position and checksum of the checkpoint a claim stands on."""

    step_index: int
    step_id: str
    checksum: bytes
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """`claim` is set when granted; `recoveries` counts takeovers and rescues since the last progress.

    `abandoned` is the dead holder's token: whoever puts the takeover off can keep its lease extended.
    """

    verdict: ClaimVerdict
    claim: Claim | None = None
    recoveries: int = 0
    due_in: timedelta | None = None
    abandoned: UUID | None = None
    announced: tuple[Outgoing, ...] = ()
    """What a takeover wrote to the outbox, to be published now; `posted` has the row of each message."""
    posted: dict[str, int] = field(default_factory=dict)


class StepCommit(NamedTuple):
    """A step is done: checkpoint and position in one transaction.

    `release` gives the claim back: to `command_id` (handed over), to a waiting command, or to nobody (completed).
    """

    claim: Claim
    step_id: str
    attempt: int
    state: str
    checksum: bytes
    started_at: datetime
    status: WorkflowStatus
    next_step: str | None
    next_waits: bool = False
    release: bool = False
    command_id: str | None = None
    outgoing: tuple[Outgoing, ...] = ()


class FailureCommit(NamedTuple):
    """An attempt failed: the attempt's record, and what follows, in one transaction.

    `status` Executing keeps the claim (retry at once), InProgress releases it (retry after `delay`, by `command_id`),
    Failed gives up.
    """

    claim: Claim
    step_id: str
    attempt: int
    failure: Failure
    started_at: datetime
    status: WorkflowStatus
    delay: timedelta | None = None
    command_id: str | None = None
    outgoing: tuple[Outgoing, ...] = ()


NOTHING_POSTED: Mapping[str, int] = MappingProxyType({})


class Committed(NamedTuple):
    """The row after a commit. `waiting` and `paused` mean that the claim is gone although it was to be kept."""

    paused: bool = False
    waiting: bool = False
    inputs: str | None = None
    earlier_attempts: int = 0
    """How often the next step was run before (after a restore it was)."""
    earlier_commits: int = 0  # and how often it was committed
    posted: Mapping[str, int] = NOTHING_POSTED
    """Message id → outbox row of what was written to the outbox and is to be published now."""


class ExecutionStore(Protocol):
    """The executor's questions to the database. Every method may be called concurrently; calls are batched inside."""

    async def start(self, workflow: NewWorkflow) -> StartVerdict:
        """Insert a workflow unless its id is taken."""

    async def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Ask for the right to advance a workflow."""

    async def commit_step(self, commit: StepCommit) -> Committed:
        """Raises Fenced, or StateNotStorable. An unknown outcome is resolved inside."""

    async def commit_failure(self, commit: FailureCommit) -> Committed:
        """Raises Fenced. An unknown outcome is resolved inside."""

    async def hand_over(
        self,
        claim: Claim,
        *,
        status: WorkflowStatus,
        command_id: str,
        outgoing: Sequence[Outgoing],
        delay: timedelta | None = None,
    ) -> Committed:
        """Release a claim without a step having been done; it is due after `delay`. Raises Fenced."""

    async def is_forgotten(self, workflow_id: UUID, command_id: str) -> bool:
        """Whether the database lost the claim: nobody holds the workflow, or it is gone, under this very command."""

    async def exists(self, workflow_id: UUID) -> bool:
        """Whether a workflow was accepted."""

    async def keep_inputs(self, workflow_id: UUID, *, step_id: str, message_id: str, inputs_text: str) -> InputsVerdict:
        """Store the inputs of a step that waits for a command; the first ones win."""

    async def extend(self, held: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
        """Extend the leases of (workflow, token) pairs; returns the tokens that still hold."""

    async def forget_published(self, outbox_ids: Sequence[int]) -> None:
        """Messages were confirmed: their outbox rows can go."""


class MessagePublisher(Protocol):
    """Publishes with confirms."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once all are confirmed; raise otherwise. Safe to repeat."""


class ParkingLot(Protocol):
    """Where messages go that nobody can act on."""

    async def park(self, message: Incoming, reason: str, *, part: bytes | None = None) -> None:
        """Keep the message (or one `part` of its body, as it was sent) with the reason. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow as recovery sees it, locked."""

    id: UUID
    definition: str
    version: int
    owner_id: str
    status: WorkflowStatus
    correlation_id: str
    step_index: int
    current_step: str | None
    waiting_for: str | None
    inputs_for: frozenset[str]
    command_id: str
    claimed_by: str | None
    retry_count: int
    recoveries: int
    checkpoint_seq: int | None
    last_seq: int
    last_checkpoint_at: datetime | None
    failure_kind: str | None
    failure_reason: str | None
    failed_at: datetime | None
    failed_attempts: int
    requires_manual_intervention: bool
    is_held: bool = False
    """Its lease is good and its executor lives: whatever message about it is found, it is being worked on."""


@dataclass(frozen=True, slots=True)
class SkippedStep:
    """A checkpoint to be written for a step that was skipped: the state stays as it was."""

    position: Position
    parent_seq: int | None
    state: Any
    checksum: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What a row is to become. Everything that is not named stays as it is.

    A `fresh_start` gives the step its full retries, under the idempotency key that it had; without `keeps_claim`
    whoever runs the workflow right now is fenced off. `failure` is set when the new status is Failed and the reason is
    a new one.
    """

    status: WorkflowStatus
    step_index: int
    current_step: str | None
    checkpoint_seq: int | None
    command_id: str
    waiting_for: str | None = None
    recoveries: int = 0
    fresh_start: bool = False
    keeps_claim: bool = False
    needs_person: bool = False
    failure: Failure | None = None
    skipped: SkippedStep | None = None


@dataclass(frozen=True, slots=True)
class RecoveryRecord:
    """One recovery with its outcome. `id` is the message id of the command that asked for it, or a fresh one."""

    id: str
    workflow_id: UUID
    kind: RecoveryKind
    actor: str
    outcome: RecoveryOutcome
    correlation_id: str
    reason: str | None = None
    problem: Problem | None = None
    detail: str | None = None
    status: WorkflowStatus | None = None
    resumed_from: datetime | None = None
    resumed_step: str | None = None
    checkpoint_seq: int | None = None
    damaged_checkpoints: tuple[int, ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    status_before: WorkflowStatus | None = None
    since_seq: int | None = None  # the newest checkpoint there was; later ones are progress
    awaited_step: str | None = None  # what has to pass for the recovery to have helped; it is watched from now on
    lost_executor: str | None = None


class RecoveryTransaction(KeepsAside, Protocol):
    """One transaction of the recovery service; nothing of it holds until the block it came from ends well."""

    async def is_recorded(self, recovery_id: str) -> bool:
        """Whether this recovery was handled already."""

    async def is_asked_earlier(self, recovery_id: str) -> bool:
        """Whether something else was asked for about the same workflow before, and is not handled yet."""

    async def lock(self, workflow_id: UUID) -> WorkflowRow | None:
        """Read a workflow and keep everybody else from changing it."""

    async def bring_back(self, workflow_id: UUID) -> WorkflowRow | None:
        """Make an archived workflow a live one again, and lock it; None if no archived one has this id."""

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        """What happens within the block can fail by itself: it is undone, and the transaction goes on."""

    async def lock_interrupted(self, when: Interruption, *, limit: int) -> list[WorkflowRow]:
        """Workflows that nothing will move any more; those that somebody else looks at are left out."""

    async def count_rescued(self, *, within: timedelta) -> int:
        """Workflows that a scan rescued no longer ago than that, and whose step has neither passed nor failed since."""

    async def lock_unattended(self, *, older_than: timedelta, limit: int) -> list[WorkflowRow]:
        """Failed workflows that nobody has looked after: their dead letter was lost."""

    async def definition_of(self, row: WorkflowRow) -> WorkflowDefinition | None:
        """The workflow's definition, as an executor registered it."""

    async def input_of(self, workflow_id: UUID) -> StoredInput:
        """The state before the first step."""

    async def checkpoints_of(self, workflow_id: UUID) -> list[StoredCheckpoint]:
        """Every checkpoint, of every line, oldest first."""

    async def lost_executors(self, row: WorkflowRow) -> tuple[str, ...]:
        """Executors that died holding this workflow since its last progress, oldest first."""

    async def apply(self, row: WorkflowRow, change: Change) -> None:
        """Write a change."""

    async def record(self, records: Sequence[RecoveryRecord]) -> None:
        """Write recoveries and their audit rows; whoever waits for them hears of it at the commit."""

    async def post(self, messages: Sequence[Outgoing]) -> None:
        """Write messages to the outbox; they are published right after the commit."""


class RecoveryStore(Protocol):
    """The recovery service's access to the database."""

    def transaction(self) -> AbstractAsyncContextManager[RecoveryTransaction]:
        """Everything within the block happens, or nothing; posted messages are published when it has."""

    def scanning(self) -> AbstractAsyncContextManager[bool]:
        """Whether this is the one scan that may run now; true for one holder at a time."""
