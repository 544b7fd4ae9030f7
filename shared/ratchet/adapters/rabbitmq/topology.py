"""What stands in the broker: every exchange, queue and binding with its arguments, on one page."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from aio_pika.abc import AbstractChannel, ExchangeType
from aiormq.abc import AbstractChannel as Channel
from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from ratchet.domain.retry import STANDING_DELAYS
from ratchet.messages import routes
from ratchet.messages.commands import RecoveryCommand
from ratchet.messages.rounds import AGAIN_AFTER, WAITS

DELIVERY_LIMIT = 5
"""Deliveries that may end without an answer before the broker dead-letters the message."""

# With at-least-once dead-lettering the queue keeps a message until its target has confirmed it. The broker silently
# falls back to at-most-once unless a full queue rejects instead of dropping.
_LOSSLESS = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue, what it is bound to, and its arguments beyond the type."""

    name: str
    bindings: tuple[tuple[str, str], ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def all_arguments(self) -> dict[str, Any]:
        """The arguments as the broker gets them."""
        return {"x-queue-type": "quorum", **self.arguments}


EXCHANGES: tuple[tuple[str, ExchangeType], ...] = (
    (routes.COMMANDS, ExchangeType.DIRECT),
    (routes.EVENTS, ExchangeType.TOPIC),
    (routes.DEAD, ExchangeType.FANOUT),
)


def steps_queue(pool: str) -> Queue:
    """The work queue of a pool; the default pool also takes what upstream services send."""
    keys = [routes.step_key(pool)]
    if pool == "default":
        keys += [routes.START, routes.UPSTREAM_STEP]
    return Queue(
        routes.steps_queue(pool),
        tuple((routes.COMMANDS, key) for key in keys),
        {"x-dead-letter-exchange": routes.DEAD, "x-delivery-limit": DELIVERY_LIMIT, **_LOSSLESS},
    )


def retry_queue(delay: timedelta, name: str | None = None) -> Queue:
    """A waiting room: what is put in comes back to the commands exchange after `delay`, by its own routing key.

    One queue for each delay, because a message with a longer delay at the head would hold back the ones behind it.
    """
    name = name or routes.retry_name(delay)
    return Queue(
        name,
        ((name, ""),),
        {
            "x-message-ttl": round(delay.total_seconds() * 1000),
            "x-dead-letter-exchange": routes.COMMANDS,
            **_LOSSLESS,
        },
    )


# A command that its consumer could not answer twenty times is parked rather than dropped.
_PARKS = {"x-delivery-limit": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": routes.PARKED, **_LOSSLESS}

# Apart from the retries, so that what lies there tells what is still on its way.
ROUND_QUEUES = tuple(
    retry_queue(pause, name)
    for pauses, name_of in ((AGAIN_AFTER, routes.again_name), (WAITS, routes.waiting_name))
    for pause, name in sorted({pause: name_of(pause) for pause in pauses}.items())
)

RECOVERY_QUEUES = (
    Queue(
        routes.RECOVERY_COMMANDS,
        tuple((routes.COMMANDS, routes.recovery_key(command)) for command in RecoveryCommand),
        _PARKS,
    ),
    Queue(routes.RECOVERY_DEAD_LETTERS, ((routes.DEAD, ""),), _PARKS),
)
NOTIFIER_QUEUE = Queue(routes.NOTIFIER_EVENTS, ((routes.EVENTS, "#"),), _PARKS)
PARKED_QUEUE = Queue(routes.PARKED)


def waits_of(delays: Iterable[timedelta]) -> list[timedelta]:
    """Every delay that there is a queue for: those of the plans, and the standing ones."""
    return sorted({delay for delay in (*delays, *STANDING_DELAYS) if delay})


def queues(pools: Iterable[str], delays: Iterable[timedelta]) -> list[Queue]:
    """Every queue for these pools and retry delays, targets of dead letters first."""
    return [
        PARKED_QUEUE,
        *RECOVERY_QUEUES,
        NOTIFIER_QUEUE,
        *(steps_queue(pool) for pool in sorted(set(pools))),
        *(retry_queue(delay) for delay in waits_of(delays)),
        *ROUND_QUEUES,
    ]


def exchanges(delays: Iterable[timedelta]) -> list[tuple[str, ExchangeType]]:
    """Every exchange: the fixed ones, and one in front of each waiting room."""
    rooms = [routes.retry_name(delay) for delay in waits_of(delays)]
    return [*EXCHANGES, *((name, ExchangeType.FANOUT) for name in (*rooms, *(room.name for room in ROUND_QUEUES)))]


async def declare(channel: AbstractChannel, *, pools: Iterable[str], delays: Iterable[timedelta]) -> None:
    """Declare everything; safe to repeat and to run from every service at once.

    What the broker user may not declare has to be there already: then somebody with more rights has put it there.

    Raises:
        aiormq.exceptions.ChannelPreconditionFailed: a queue of that name exists with other arguments.
        aiormq.exceptions.ChannelNotFoundEntity: something is missing that this user may not declare.
    """
    connection = (await channel.get_underlay_channel()).connection
    delays = tuple(delays)
    for name, kind in exchanges(delays):
        await _declare_or_find(connection, partial(_declare_exchange, name, kind))
    for queue in queues(pools, delays):
        await _declare_or_find(connection, partial(_declare_queue, queue))


async def _declare_or_find(connection: AbstractConnection, one: Callable[[Channel, bool], Awaitable[None]]) -> None:
    # With a refusal the broker closes the channel, so each attempt gets its own.
    try:
        await _on_own_channel(connection, one, passive=False)
    except ChannelAccessRefused:
        await _on_own_channel(connection, one, passive=True)


async def _on_own_channel(
    connection: AbstractConnection, one: Callable[[Channel, bool], Awaitable[None]], *, passive: bool
) -> None:
    channel = await connection.channel()
    await one(channel, passive)
    await channel.close()


async def _declare_exchange(name: str, kind: ExchangeType, channel: Channel, passive: bool) -> None:  # noqa: FBT001 - partial
    await channel.exchange_declare(name, exchange_type=kind.value, durable=True, passive=passive)


async def _declare_queue(queue: Queue, channel: Channel, passive: bool) -> None:  # noqa: FBT001 - partial
    await channel.queue_declare(queue.name, durable=True, passive=passive, arguments=queue.all_arguments)
    for exchange, key in () if passive else queue.bindings:
        await channel.queue_bind(queue.name, exchange, key)
