"""How much a client may say: buckets that refill with time."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many per second in the long run."""

    burst: float
    per_second: float


TALK = Rate(1000, 100)
"""Messages of any kind; beyond that the client is listened to more slowly."""

PATIENCE = Rate(20, 1)
"""Messages that mean nothing; beyond that the connection is closed."""


@dataclass(slots=True)
class Allowance:
    """Starts full. Seconds of any steady clock are passed in."""

    rate: Rate
    left: float = field(init=False)
    counted_at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.left = self.rate.burst

    def take(self, now: float) -> bool:
        """Use one up; False if there is none left."""
        if self.counted_at is not None:
            self.left = min(self.rate.burst, self.left + (now - self.counted_at) * self.rate.per_second)
        self.counted_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True
