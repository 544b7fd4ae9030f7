"""What the broker writes on a message that it gives up: where it died, of what, when, and the way it had come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEATHS_HEADER = "x-death"
FIRST_QUEUE_HEADER = "x-first-death-queue"
LAST_QUEUE_HEADER, LAST_REASON_HEADER = "x-last-death-queue", "x-last-death-reason"

DELIVERY_LIMIT, EXPIRED = "delivery_limit", "expired"

_MEANINGS = {
    "delivery_limit": "was returned as often as the queue allows, each time without an answer",
    "rejected": "its handler failed with an error that is no outage",
    "expired": "it waited longer than the queue allows",
    "maxlen": "the queue was full",
}


@dataclass(frozen=True, slots=True)
class Death:
    """The latest death of a message. `exchange` and `routing_key` are the way by which it had reached the queue."""

    queue: str
    cause: str
    at: str
    count: int
    exchange: str
    routing_key: str
    first_queue: str

    @property
    def reason(self) -> str:
        """For people."""
        text = f"The broker gave it up in {self.queue} ({self.cause}): {_MEANINGS.get(self.cause, 'see its headers')}"
        if self.count > 1:
            text += f"; {self.count} times by now"
        return text if self.first_queue == self.queue else f"{text}; it first died in {self.first_queue}"


def latest_death(headers: Mapping[str, Any]) -> Death | None:
    """The death that brought the message here; None when the broker has written none."""
    deaths = headers.get(DEATHS_HEADER)
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], Mapping):
        return None
    # From RabbitMQ 4.0 on it is named; before, and where several happened within a second, the first in line is it.
    named = (headers.get(LAST_QUEUE_HEADER), headers.get(LAST_REASON_HEADER))
    alike = [one for one in deaths if isinstance(one, Mapping) and (one.get("queue"), one.get("reason")) == named]
    death = (alike or deaths)[0]
    keys, queue, count = death.get("routing-keys"), str(death.get("queue", "")), death.get("count")
    return Death(
        queue=queue,
        cause=str(death.get("reason", "")),
        at=str(death.get("time", "")),
        count=count if isinstance(count, int) else 1,
        exchange=str(death.get("exchange", "")),
        routing_key=str(keys[0]) if isinstance(keys, list) and keys else "",
        first_queue=str(headers.get(FIRST_QUEUE_HEADER) or queue),
    )


def was_returned_too_often(headers: Mapping[str, Any]) -> bool:
    """Whether the death that brought the message here says that it was returned as often as its queue allows.

    `x-first-death-reason` says "expired" for ever of whatever went through a delay queue once.
    """
    death = latest_death(headers)
    return death is not None and death.cause == DELIVERY_LIMIT


def comes_marked(headers: Mapping[str, Any]) -> bool:
    """Whether the broker calls the message redelivered for what happened in another queue.

    From RabbitMQ 4.0 on a message that a rejection or its delivery limit brought here is so marked at its very first
    delivery. What expired in a delay queue is not, on any version, so after that the mark means this queue.
    """
    death = latest_death(headers)
    return death is not None and death.cause != EXPIRED
