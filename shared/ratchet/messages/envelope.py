"""The AMQP properties around a body, and what is accepted in them."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from ratchet.messages.routes import Route

MAX_BODY_BYTES = 1024 * 1024
MAX_BULK_BYTES = 16 * 1024 * 1024
MAX_MESSAGE_ID = 255

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

REASON_HEADER = "x-ratchet-reason"
ORIGIN_EXCHANGE_HEADER = "x-ratchet-exchange"
ORIGIN_KEY_HEADER = "x-ratchet-routing-key"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish: persistent and mandatory, always. `delay` becomes its expiration in a delay queue.

    Publishing the same `message_id` again is safe: receivers treat it as the same message.
    """

    route: Route
    message_id: str
    type: str
    body: bytes
    correlation_id: str
    headers: dict[str, Any] = field(default_factory=dict)
    delay: timedelta | None = None


class Unconfirmed(Exception):
    """At least one message was not confirmed: returned, refused, or unknown. Publishing it again is safe.

    `confirmed` holds the message ids that the broker did take, `failures` what went wrong with the others. With
    `by_one` a message of the batch is to blame, and the others may go by themselves; else the broker is away.
    """

    def __init__(self, failures: Sequence[BaseException], confirmed: frozenset[str], *, by_one: bool = False) -> None:
        kinds = ", ".join(sorted({type(failure).__name__ for failure in failures}))
        super().__init__(f"{len(failures)} message(s) not confirmed ({kinds}): {failures[0]}")
        self.failures = tuple(failures)
        self.confirmed = confirmed
        self.by_one = by_one


class Settlement(Enum):
    """How a delivery ends."""

    ACK = auto()
    REJECT = auto()
    """To the queue's dead-letter exchange."""


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery as the broker handed it over, before anything in it was believed.

    `redelivered`: the queue that it comes from has delivered it before.
    `acknowledge` settles it before its handler is done; what the handler returns is then ignored.
    """

    body: bytes
    message_id: str | None
    correlation_id: str | None
    type: str | None
    exchange: str
    routing_key: str
    redelivered: bool
    headers: dict[str, Any]
    acknowledge: Callable[[], Awaitable[None]] = field(default=_nothing, compare=False, repr=False)


def accepted_correlation_id(offered: str | None, fallback: str) -> str:
    """`offered` if it is a clean id (1 to 128 of `A-Z a-z 0-9 . _ : -`), else `fallback`."""
    return offered if offered is not None and _CORRELATION_ID.fullmatch(offered) else fallback


def iso(instant: datetime) -> str:
    """An instant as ISO 8601 in UTC, ending in Z."""
    return instant.isoformat().replace("+00:00", "Z")
