"""Waiting for what a server will show sooner or later: looked at until a deadline, with a failure that explains."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import httpx2

Seen = TypeVar("Seen")

PATIENCE = timedelta(seconds=30)
LOOK_EVERY = 0.03


def until(
    look: Callable[[], Seen], holds: Callable[[Seen], object], *, what: str, within: timedelta = PATIENCE
) -> Seen:
    """The first thing seen that holds. A server that does not answer yet is looked at again.

    Raises AssertionError, naming `what` was waited for and what was seen last.
    """
    deadline = time.monotonic() + within.total_seconds()
    last: object = None
    while True:
        try:
            seen = look()
        except httpx2.TransportError as error:
            last = error
        else:
            if holds(seen):
                return seen
            last = seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within.total_seconds():g} s; last seen: {last!r}")
        time.sleep(LOOK_EVERY)
