"""How long the event loop did not turn, because a step's code kept it."""

import asyncio
import time

BEAT = 0.25
"""Seconds between two looks of the loop at the clock."""
TOLERANCE = 0.25
"""A loop that is later than that was kept by somebody."""


class LoopClock:
    """Measures the loop from within; may be read from any thread. Until `run` it says that nothing was lost."""

    def __init__(self) -> None:
        self._lost = 0.0
        self._beat_at: float | None = None

    async def run(self) -> None:
        """For ever."""
        while True:
            self._beat()
            await asyncio.sleep(BEAT)

    @property
    def stalled(self) -> float:
        """Seconds by which the loop is late right now; 0 while it turns."""
        late = 0.0 if self._beat_at is None else time.monotonic() - self._beat_at - BEAT
        return late if late > TOLERANCE else 0.0

    @property
    def lost(self) -> float:
        """All seconds by which the loop was ever late."""
        return self._lost + self.stalled

    def _beat(self) -> None:
        self._lost += self.stalled
        self._beat_at = time.monotonic()
