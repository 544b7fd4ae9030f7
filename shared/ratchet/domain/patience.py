"""A delivery whose handler fails is tried again, for ever; one that fails alone, while others pass, is set aside.

Whether others pass decides, not what the error says: as long as nothing else of its kind gets through, no message is
at fault. Times are seconds of a clock that only goes forward.
"""

from dataclasses import dataclass

from ratchet.domain.trouble import Trouble

SHORTEST = 0.1
LONGEST = 30.0
LONGEST_IN_OUTAGE = 10.0
"""Nothing but a server's return is waited for, and trying costs little."""

JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Limit:
    """A message is set aside after so many tries between which others passed, over at least so many seconds."""

    tries: int
    seconds: float


ALONE = Limit(5, 20.0)
ALONE_IN_OUTAGE = Limit(20, 600.0)
"""What a server said it cannot do is hardly this message's fault, but for ever is too long: another row's lock, say."""

REFUSED_CONTENT = Limit(4, 2.0)
"""A server refused the data themselves; nobody else has to pass to show that."""


@dataclass(frozen=True, slots=True)
class Failing:
    """How one delivery has fared so far. `alone` counts the tries between which others of its kind passed."""

    trouble: Trouble
    tries: int
    alone: int
    first_at: float
    latest_at: float

    @property
    def is_to_be_set_aside(self) -> bool:
        """Whether a person has to look at this message, because there is something about it and not about the rest."""
        match self.trouble:
            case Trouble.CONTENT:
                limit, tries = REFUSED_CONTENT, self.tries
            case Trouble.UNKNOWN:
                limit, tries = ALONE, self.alone
            case _:
                limit, tries = ALONE_IN_OUTAGE, self.alone
        return tries >= limit.tries and self.latest_at - self.first_at >= limit.seconds

    def pause(self, chance: float) -> float:
        """Seconds until the next try, longer each time; `chance` (0 to 1) spreads those that failed together."""
        longest = LONGEST_IN_OUTAGE if self.trouble.is_outage else LONGEST
        grown = min(longest, SHORTEST * 2.0 ** min(self.tries - 1, 20))
        return float(grown * (1 - JITTER * chance))


def failed(before: Failing | None, trouble: Trouble, *, now: float, passed_since: float | None) -> Failing:
    """After one more failure. `passed_since`: when the latest of its kind that passed had begun, if one did.

    One that had begun before this message was last tried shows nothing: the trouble may have come in between.
    """
    if before is None:
        return Failing(trouble, tries=1, alone=0, first_at=now, latest_at=now)
    is_alone = passed_since is not None and passed_since > before.latest_at
    return Failing(trouble, before.tries + 1, before.alone + is_alone, before.first_at, now)
