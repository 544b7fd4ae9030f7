"""Whether a recovery helped: it is verified once the step that had failed has passed, relapsed if it failed again.

That an executor stops in between says nothing about the step: it is run again, and the verdict stays open. Only when
it was interrupted as often as the automatic limit allows is it Failed, and then the recovery has relapsed.
"""

from dataclasses import dataclass
from enum import StrEnum

from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus


class Verdict(StrEnum):
    """What became of a recovery that had let its workflow go on."""

    VERIFIED = "verified"
    RELAPSED = "relapsed"
    SUPERSEDED = "superseded"
    """Somebody did something else with the workflow before it could be known."""


AUTOMATIC = frozenset({RecoveryKind.TAKEOVER, RecoveryKind.RESCUE, RecoveryKind.LOOK_AFTER})
"""Kinds that nobody asked for; they come after an interruption or a failure, never in between."""

INTERRUPTIONS = frozenset({RecoveryKind.TAKEOVER, RecoveryKind.RESCUE})
"""Kinds that come after an interruption, unless the workflow stood in Failed (then it is a second try by itself)."""


@dataclass(frozen=True, slots=True)
class Following:
    """The next thing that was done to the same workflow, and how the workflow stood then."""

    kind: RecoveryKind
    status_before: WorkflowStatus | None

    @property
    def is_interruption(self) -> bool:
        """Whether an executor stopped or a message was lost, and the same step was sent on its way again."""
        return self.kind in INTERRUPTIONS and self.status_before is not WorkflowStatus.FAILED


def judge(*, passed: bool, status: WorkflowStatus, following: Following | None) -> Verdict | None:
    """The verdict, or None while it is open.

    `passed` says whether the awaited step was committed before `following`, which is the next thing that was no
    interruption; `status` is the workflow's present one. The answer depends on what is stored only, never on when one
    looks.
    """
    if passed:
        return Verdict.VERIFIED
    if following is not None and not following.is_interruption:
        broke = following.status_before is WorkflowStatus.FAILED or following.kind in AUTOMATIC
        return Verdict.RELAPSED if broke else Verdict.SUPERSEDED
    match status:
        case WorkflowStatus.FAILED:
            return Verdict.RELAPSED
        case WorkflowStatus.COMPLETED:
            return Verdict.VERIFIED
        case WorkflowStatus.CANCELLED:
            return Verdict.SUPERSEDED
        case _:
            return None
