"""What recovery's background work asks of the stores: verdicts, breaker, bulk, audit chain, archive, parked ones."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from ratchet.domain.breaker import Breaker, Evidence
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome, Progress
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.verification import Following, Verdict
from ratchet.domain.workflow import WorkflowStatus
from ratchet.ports import RecoveryTransaction


@dataclass(frozen=True, slots=True)
class OpenRecovery:
    """A recovery whose verdict can be given now, and what it is given by."""

    id: str
    workflow_id: UUID
    owner_id: str
    kind: RecoveryKind
    correlation_id: str
    awaited_step: str
    passed: bool
    status: WorkflowStatus
    failure_reason: str | None
    following: Following | None


class WatchTransaction(RecoveryTransaction, Protocol):
    """A transaction that settles recoveries."""

    async def lock_decided(self, *, limit: int) -> list[OpenRecovery]:
        """Open recoveries that something has happened to since; those that somebody else looks at are left out."""

    async def settle(self, verdicts: Sequence[tuple[OpenRecovery, Verdict]]) -> None:
        """Keep the verdicts, also for the bulk recoveries that these belong to."""


class WatchStore(Protocol):
    """Where verdicts are given."""

    def transaction(self) -> AbstractAsyncContextManager[WatchTransaction]:
        """Everything within the block happens, or nothing; posted messages are published when it has."""


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """What one scan did. `held_back` were left alone because of the breaker; `has_more`: some wait for a place."""

    resumed: int = 0
    failed: int = 0
    attended: int = 0
    held_back: int = 0
    has_more: bool = False


class ScanLedger(Protocol):
    """What scans know of each other. Only the scan that holds the scan lock writes."""

    async def breaker(self) -> tuple[Breaker, Evidence, datetime]:
        """The breaker, the evidence that counts in its state, and the database's time."""

    async def keep(self, breaker: Breaker, *, reason: str) -> None:
        """The breaker changed; it is audited."""

    async def scanned(self, counts: ScanCounts) -> None:
        """A scan ended."""


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A bulk recovery that runs."""

    id: UUID
    actor: str
    reason: str
    canary: int
    correlation_id: str
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One workflow of the selection; `recovery_id` is the same however often it is tried."""

    position: int
    workflow_id: UUID
    recovery_id: str


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What came of an item."""

    item: BulkItem
    outcome: ItemOutcome
    detail: str | None = None


class BulkTransaction(RecoveryTransaction, Protocol):
    """A transaction that advances one bulk recovery."""

    async def lock_bulk(self, bulk_id: UUID) -> tuple[BulkRequest, Progress] | None:
        """The batch with its progress; None when it does not run any more, or another recovery service is at it."""

    async def pending_items(self, bulk_id: UUID, *, limit: int) -> list[BulkItem]:
        """The next items, in the order of the selection, with their workflows locked."""

    async def keep_items(self, bulk_id: UUID, results: Sequence[ItemResult]) -> None:
        """Keep what came of items; only now are their records and messages written."""

    async def end_bulk(self, bulk: BulkRequest, state: BulkState, detail: str | None) -> None:
        """The batch is over: items that were not begun are skipped; it is audited."""


class BulkStore(Protocol):
    """Where bulk recoveries are kept."""

    async def running(self) -> list[UUID]:
        """Batches that are not over, the oldest first."""

    def transaction(self) -> AbstractAsyncContextManager[BulkTransaction]:
        """Everything within the block happens, or nothing; posted messages are published when it has."""


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A workflow that somebody can run by now; `is_woken` if its command is all that it needs."""

    workflow_id: UUID
    command_id: str
    correlation_id: str
    pool: str
    is_woken: bool


class UnservedTransaction(RecoveryTransaction, Protocol):
    """A transaction about workflows that nobody can run."""

    async def set_aside(self, *, older_than: timedelta) -> int:
        """Keep apart those that nothing has happened to for this long and that nobody can run; how many they were."""

    async def wake(self, *, limit: int) -> list[Sleeper]:
        """Those that somebody can run by now are no longer set aside."""


class UnservedStore(Protocol):
    """Where workflows are kept that nobody can run."""

    def transaction(self) -> AbstractAsyncContextManager[UnservedTransaction]:
        """Everything within the block happens, or nothing; posted messages are published when it has."""


@dataclass(frozen=True, slots=True)
class LateRetry:
    """A retry whose time is over and whose command has not come.

    `reason` is that of the failed attempt; None where no time was told. `own_retries`: of the step's own plan, if any.
    """

    workflow_id: UUID
    owner_id: str
    correlation_id: str
    command_id: str
    step: str
    retry_count: int
    pool: str
    own_retries: int | None
    due_at: datetime
    late_by: timedelta
    reason: str | None


class OverdueStore(Protocol):
    """Who is late."""

    async def is_any(self, *, by: timedelta) -> bool:
        """Whether any retry is overdue by so much."""

    async def overdue(self, pools: Sequence[str], *, by: timedelta, limit: int) -> list[LateRetry]:
        """Retries of these pools that are overdue by so much, the latest ones first."""

    def transaction(self) -> AbstractAsyncContextManager[RecoveryTransaction]:
        """For telling people; posted messages are published when the block has ended."""


class AuditSealer(Protocol):
    """Puts audit entries into the chain."""

    async def seal_some(self, limit: int) -> int:
        """Seal up to `limit` entries; 0 when there are none or somebody else is at it."""


class Archive(Protocol):
    """Where old workflows go."""

    async def archive_some(self, *, finished: timedelta | None, failed: timedelta | None, limit: int) -> int:
        """Move up to `limit` that ended, and as many that failed, longer ago (None: none); returns how many it was."""

    async def purge_some(self, *, older_than: timedelta, limit: int) -> int:
        """Delete up to `limit` that were archived longer ago, each with an audit entry; returns how many it was."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What a look at the parked messages came to: written down for the first time, and taken out of the queue."""

    adopted: int = 0
    removed: int = 0

    def __add__(self, other: "Tidied") -> "Tidied":
        return Tidied(self.adopted + other.adopted, self.removed + other.removed)


class ParkedMirror(Protocol):
    """The queue of parked messages beside their table."""

    async def tidy(self, *, whole: bool) -> Tidied | None:
        """Make both the same if they differ, or in any case if `whole`; None when there was nothing to do."""


@dataclass(frozen=True, slots=True)
class Settling:
    """Who puts an end to something, and why."""

    actor: str
    reason: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which audit entries; everything that is given must hold."""

    workflow_id: UUID | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
