"""The five scenarios: what goes wrong, what is done about it, and how each has to end."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto

from ratchet.messages.events import EventType

from local_stack.demo.outside_world import FOR_GOOD

ORDER_STEPS = ("reserve_stock", "charge_card", "ship_parcel", "send_survey")
FLIGHT_STEPS = ("pack_parcel", "fly_parcel", "confirm_delivery")


class Help(Enum):
    """What somebody does while the workflow runs."""

    NONE = auto()
    RECOVER = auto()
    """Once it has Failed, its trouble is repaired and it is recovered over the API."""
    SKIP = auto()
    """Once it has Failed, its owner skips the step over the API."""
    KILL = auto()
    """The executor that runs its step is killed (SIGKILL) in the middle of it."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A service of the outside world that fails for this order."""

    service: str
    status: int
    times: int = FOR_GOOD


@dataclass(frozen=True, slots=True)
class Scenario:
    """One workflow of the demo. `expected` is told to people, the rest is checked."""

    title: str
    expected: str
    order: str
    definition: str = "demo-order"
    steps: tuple[str, ...] = ORDER_STEPS
    outage: Outage | None = None
    help: Help = Help.NONE
    skipped: frozenset[str] = frozenset()
    failed_attempts: int = 0
    events: Counter[str] = field(default_factory=Counter)
    bookings: tuple[str, ...] = ("payment", "survey")


SCENARIOS = (
    Scenario(
        "Clean run",
        "four steps, no failure",
        "A-1",
        events=Counter([EventType.COMPLETED]),
    ),
    Scenario(
        "Transient failure",
        "fails twice, healed by retries",
        "A-2",
        outage=Outage("payment", 503, times=2),
        failed_attempts=2,
        events=Counter({EventType.STEP_RETRYING: 2, EventType.COMPLETED: 1}),
    ),
    Scenario(
        "Exhausted retries",
        "retries used up, Failed, recovered over the API",
        "A-3",
        outage=Outage("payment", 503),
        help=Help.RECOVER,
        failed_attempts=4,
        events=Counter(
            {
                EventType.STEP_RETRYING: 3,
                EventType.STEP_FAILED: 1,
                EventType.RECOVERED: 1,
                EventType.COMPLETED: 1,
            }
        ),
    ),
    Scenario(
        "Optional step",
        "optional step skipped by its owner",
        "A-4",
        outage=Outage("survey", 410),
        help=Help.SKIP,
        skipped=frozenset({"send_survey"}),
        failed_attempts=1,
        events=Counter([EventType.STEP_FAILED, EventType.STEP_SKIPPED, EventType.COMPLETED]),
        bookings=("payment",),
    ),
    Scenario(
        "Killed executor",
        "resumed in the middle, nothing done twice",
        "A-5",
        definition="demo-flight",
        steps=FLIGHT_STEPS,
        help=Help.KILL,
        events=Counter([EventType.RECOVERED, EventType.COMPLETED]),
        bookings=("take-off",),
    ),
)
