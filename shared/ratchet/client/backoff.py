"""How long to wait before trying again: full jitter, so that clients of one outage do not come back in step."""

from datetime import timedelta

FIRST = timedelta(milliseconds=200)
LONGEST = timedelta(seconds=10)
_MOST_DOUBLINGS = 16


def full_jitter(failures: int, fraction: float, *, longest: timedelta = LONGEST) -> timedelta:
    """A wait somewhere between nothing and a ceiling that doubles with each failure in a row (the first is 1).

    `fraction` in [0, 1) is the random part.
    """
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    ceiling: timedelta = min(FIRST * (2**doublings), longest)
    return ceiling * fraction
