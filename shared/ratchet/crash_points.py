"""Named places where a test can have the process die, as if killed: `RATCHET_CRASH_AT=after-commit:3`."""

import os
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from ratchet.domain.errors import InvalidSettings

KILLED = 137
"""The exit code of a process that was killed with signal 9."""


class CrashPoint(StrEnum):
    """Every place, in the order in which a step passes them."""

    AFTER_CLAIM = "after-claim"
    BEFORE_COMMIT = "before-commit"
    AFTER_COMMIT = "after-commit"
    AFTER_FAILURE_COMMIT = "after-failure-commit"
    AFTER_PUBLISH = "after-publish"
    BEFORE_SETTLE = "before-settle"


Reach = Callable[[CrashPoint], None]


def nothing_happens(_point: CrashPoint) -> None:
    """What a crash point does outside of tests."""


def crash_points(spec: str | None) -> Reach:
    """The function to call at each point. `spec` is a point's name and the number of the passage to die at.

    Raises:
        InvalidSettings: there is no such point.
    """
    if not spec:
        return nothing_happens
    name, _, count = spec.partition(":")
    if name not in set(CrashPoint) or not (count or "1").isdigit():
        raise InvalidSettings(f"RATCHET_CRASH_AT: write one of {', '.join(CrashPoint)}, then a colon and a number")
    wanted, passages = int(count or "1"), Counter[CrashPoint]()

    def reach(point: CrashPoint) -> None:
        passages[point] += 1
        if point == name and passages[point] == wanted:
            os._exit(KILLED)

    return reach
