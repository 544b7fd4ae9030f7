"""A step's code that keeps the event loop: how long it may, and what then."""

from datetime import timedelta
from enum import Enum, auto

GRACE = timedelta(seconds=5)
"""What a step that blocks the loop gets beyond its time limit: it cannot be told that its time is over."""


class Verdict(Enum):
    """What becomes of code that has kept the loop for so long."""

    WAIT = auto()
    """Its step's time is not over; everybody's leases are kept meanwhile."""
    FAIL_STEP = auto()
    """The step has failed, whatever its code still does."""
    END_PROCESS = auto()
    """The loop does not come back: the other workflows are handed back, and the process ends."""


def judge(blocked: timedelta, *, limit: timedelta, lease: timedelta) -> Verdict:
    """`limit` is the time limit of the step that blocks. The process gets one more lease's length for its loop."""
    if blocked <= limit + GRACE:
        return Verdict.WAIT
    return Verdict.FAIL_STEP if blocked <= limit + GRACE + lease else Verdict.END_PROCESS
