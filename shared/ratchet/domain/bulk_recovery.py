"""A bulk recovery: a frozen selection, canaries first, stopped by the first relapse."""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_CANARIES = 5
MAX_CANARIES = 1000


class BulkState(StrEnum):
    """Where a bulk recovery stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    """By itself, because an item relapsed or a canary could not be recovered."""
    CANCELLED = "cancelled"


class ItemOutcome(StrEnum):
    """What became of one workflow of the selection."""

    PENDING = "pending"
    STARTED = "started"
    VERIFIED = "verified"
    RELAPSED = "relapsed"
    FAILED = "failed"
    """It could not be recovered."""
    SKIPPED = "skipped"
    """Nothing was done: it was no longer Failed, somebody else took it in hand, or the batch ended first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many items have which outcome."""

    pending: int = 0
    started: int = 0
    verified: int = 0
    relapsed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def begun(self) -> int:
        """Items that a recovery was tried for."""
        return self.started + self.verified + self.relapsed + self.failed


@dataclass(frozen=True, slots=True)
class Start:
    """Recover up to `limit` more items."""

    limit: int


@dataclass(frozen=True, slots=True)
class Wait:
    """What was started has to show first how it ends."""


@dataclass(frozen=True, slots=True)
class End:
    """The batch is over."""

    state: BulkState
    detail: str | None = None


def next_move(progress: Progress, *, canary: int) -> Start | Wait | End:
    """What comes next for a running batch."""
    if progress.relapsed:
        return End(BulkState.STOPPED, "A recovered workflow failed again before its step had passed")
    if canary and progress.failed and progress.begun <= canary:
        return End(BulkState.STOPPED, "A canary could not be recovered")
    if progress.pending == 0:
        return Wait() if progress.started else End(BulkState.COMPLETED)
    if progress.begun < canary:
        return Start(canary - progress.begun)
    if progress.begun == canary and progress.verified < canary:
        return Wait()
    return Start(progress.pending)
