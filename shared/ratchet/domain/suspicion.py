"""Who may have killed the process: how many of those who were there each time are tried together."""

from math import isqrt

from ratchet.domain.recovery import AUTOMATIC_LIMIT


def is_suspect(recoveries: int) -> bool:
    """Whether its process died at least twice without progress in between; once proves nothing."""
    return recoveries > 0


def is_last_chance(recoveries: int) -> bool:
    """Whether one more death would be its verdict: then it is tried alone, so that nobody else can be to blame."""
    return recoveries >= AUTOMATIC_LIMIT - 1


def group_size(waiting: int, passed: int) -> int:
    """How many suspects, none on its last chance, are tried at once.

    If one of them kills the process, each of its group is tried alone afterwards; so groups begin with the root of what
    waits, which makes groups and singles about as many. A group of which all `passed` makes the next one twice as
    large: the less likely it is that there is a killer at all, the less there is to lose.
    """
    return min(waiting, max(isqrt(waiting), 2 * passed, 1))
