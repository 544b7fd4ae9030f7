"""Commands that go round once more: sent again under their own id, with fresh headers, counted in a header of ours.

A copied `x-death` would make the broker drop them. The count is in rounds, not in instants, so no clocks are compared.
"""

from dataclasses import dataclass
from datetime import timedelta

from ratchet.messages.envelope import Incoming, Outgoing
from ratchet.messages.routes import Route, again_name, waiting_name

RETURNS_HEADER = "x-ratchet-returns"
"""How often a command came back without having been carried out."""
ROUNDS_HEADER = "x-ratchet-rounds"
"""How often a command went round because its workflow has not been started yet."""

KEPT_HEADERS = ("traceparent", "tracestate")

AGAIN_AFTER = (timedelta(seconds=1), timedelta(seconds=5), *[timedelta(seconds=30)] * 4)
"""The pauses before a command that came back is sent again; after the last one it stands before a person."""

QUICK_WAIT, SLOW_WAIT = WAITS = (timedelta(seconds=1), timedelta(seconds=5))
PATIENT_ROUNDS = 10
"""So long a command waits for its workflow in any case: a start may be in somebody's hands, where nobody counts it."""
MOST_ROUNDS = PATIENT_ROUNDS + 360
"""So long, which is half an hour, it waits while starts are known to be on their way."""


@dataclass(frozen=True, slots=True)
class StartsUnderWay:
    """Where the start of a workflow may still be: in line, sent again after a pause, in an array, or promised."""

    in_line: int = 0
    coming_again: int = 0
    unpacking: bool = False
    promised: bool = False

    @property
    def any(self) -> bool:
        """Whether there is a reason to go on waiting."""
        return bool(self.in_line or self.coming_again or self.unpacking or self.promised)


NONE_UNDER_WAY = StartsUnderWay()


def returns_of(message: Incoming) -> int:
    """How often this command came back before."""
    return _count(message, RETURNS_HEADER)


def rounds_of(message: Incoming) -> int:
    """How often this command has waited for its workflow."""
    return _count(message, ROUNDS_HEADER)


def returned(message: Incoming, routing_key: str, body: bytes) -> Outgoing | None:
    """The command once more, to where it came from, after a pause that grows; None when it came back too often."""
    before = returns_of(message)
    if before >= len(AGAIN_AFTER):
        return None
    route = Route(again_name(AGAIN_AFTER[before]), routing_key)
    return _again(message, route, body, {RETURNS_HEADER: before + 1})


def waiting(message: Incoming, starts: StartsUnderWay) -> Outgoing | None:
    """The command once more, a little later; None when its workflow cannot be expected any more."""
    before = rounds_of(message)
    if before >= (MOST_ROUNDS if starts.any else PATIENT_ROUNDS):
        return None
    pause = QUICK_WAIT if before < PATIENT_ROUNDS else SLOW_WAIT
    route = Route(waiting_name(pause), message.routing_key)
    returns = returns_of(message)
    counts = {ROUNDS_HEADER: before + 1} | ({RETURNS_HEADER: returns} if returns else {})
    return _again(message, route, message.body, counts)


def _again(message: Incoming, route: Route, body: bytes, counts: dict[str, int]) -> Outgoing:
    kept = {name: value for name in KEPT_HEADERS if isinstance(value := message.headers.get(name), str)}
    return Outgoing(
        route=route,
        message_id=message.message_id or "",
        type=message.type or "",
        body=body,
        correlation_id=message.correlation_id or "",
        headers=kept | counts,
    )


def _count(message: Incoming, header: str) -> int:
    value = message.headers.get(header)
    return value if type(value) is int and value > 0 else 0
