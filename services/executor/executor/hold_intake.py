"""Taking nothing new while too many threads hang: what is here finishes, other executors do the rest."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from executor.holdings import Holdings
from executor.step_threads import StepThreads

log = structlog.get_logger()

AGAIN = 1.0
"""Seconds until a broker that was away is asked again."""

Switch = Callable[[], Awaitable[None]]


class HoldIntake:
    """Cancels the consumers at the limit, and consumes again once threads have returned."""

    def __init__(self, threads: StepThreads, holdings: Holdings, *, stop: Switch, resume: Switch) -> None:
        self._threads = threads
        self._holdings = holdings
        self._stop = stop
        self._resume = resume
        self._is_held = False

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._threads.changed.wait()
            self._threads.changed.clear()
            while self._threads.too_many_hang is not self._is_held and not self._holdings.is_draining:
                await self._turn(hold=self._threads.too_many_hang)

    async def _turn(self, *, hold: bool) -> None:
        try:
            await (self._stop() if hold else self._resume())
        except Exception as error:  # whatever it is: the broker is away, and this is asked again
            log.warning("intake.not_switched", error=type(error).__name__)
            await asyncio.sleep(AGAIN)
            return
        self._is_held = hold
        if hold:
            log.error("intake.held", reason=self._threads.why_not_ready())
        else:
            log.info("intake.resumed", hanging=self._threads.hanging)
