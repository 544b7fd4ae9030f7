"""A step's time limits: they begin with its code, and do not count time in which others kept the event loop."""

import asyncio
from collections.abc import Callable

NEGLIGIBLE = 0.001

Lost = Callable[[], float]
"""Seconds in which the loop has not turned since the process began, through the fault of others than the asker."""


def nothing_lost() -> float:
    """For a loop that always turns."""
    return 0.0


class TimeLimit:
    """Ends an `asyncio.timeout(None)` after so many seconds of the step's own; can be restarted."""

    __slots__ = ("_lost", "_lost_before", "_scope", "_seconds", "_timer")

    def __init__(self, seconds: float | None, lost: Lost = nothing_lost) -> None:
        self._seconds = seconds
        self._lost = lost
        self._lost_before = 0.0
        self._scope: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, scope: asyncio.Timeout) -> None:
        """The code begins now; `scope` is what it runs under."""
        self._scope = scope
        self.restart()

    def restart(self) -> None:
        """All of the time is there again. Does nothing before `start`, after `stop`, and when the time is over."""
        if self._scope is None or self._seconds is None or self._scope.expired():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._lost_before = self._lost()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._is_due)

    def stop(self) -> None:
        """The code has ended."""
        self._scope = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_due(self) -> None:
        if self._scope is None:
            return
        loop, lost = asyncio.get_running_loop(), self._lost()
        owed = lost - self._lost_before
        if owed > NEGLIGIBLE:
            self._lost_before = lost
            self._timer = loop.call_later(owed, self._is_due)
        elif not self._scope.expired():
            self._scope.reschedule(loop.time())
