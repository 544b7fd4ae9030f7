"""Whether replays of parked messages helped, kept with them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

log = structlog.get_logger()

EVERY = timedelta(seconds=2)


class SettleReplays:
    """Runs for ever. Any number may run."""

    def __init__(self, settle: Callable[[], Awaitable[int]]) -> None:
        """`settle` keeps what has come of replays since; it may be called again and again."""
        self._settle = settle

    async def run(self) -> None:
        """Look, then wait."""
        while True:
            try:
                await self._settle()
            except Exception as error:  # whatever it was, this runs again
                log.warning("replays.postponed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(EVERY.total_seconds())
