"""How late a retry is, in stages: each time a told time is corrected it is put off by twice as much as before."""

import math
from datetime import datetime, timedelta

FIRST_TOLD_AFTER = timedelta(seconds=10)


def stage_of(late_by: timedelta) -> int:
    """0 while it is not worth a word; then 1, and one more each time that the lateness has doubled."""
    if late_by < FIRST_TOLD_AFTER:
        return 0
    return math.floor(math.log2(late_by / FIRST_TOLD_AFTER)) + 1


def promised_after(due_at: datetime, stage: int) -> datetime:
    """The time that is told in a stage, which is when the next stage would begin."""
    return due_at + FIRST_TOLD_AFTER * 2.0 ** min(stage, 20)
