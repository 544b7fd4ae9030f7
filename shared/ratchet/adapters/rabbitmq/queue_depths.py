"""How long the queues are and how many consume them, asked of the broker without declaring anything."""

from collections.abc import Iterable
from dataclasses import dataclass

from aio_pika.abc import AbstractRobustConnection
from aiormq.exceptions import ChannelNotFoundEntity

from ratchet.adapters.rabbitmq.topology import queues


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages ready for delivery and consumers; None for both when the queue does not exist."""

    name: str
    messages: int | None
    consumers: int | None


async def queue_depths(connection: AbstractRobustConnection, pools: Iterable[str]) -> list[QueueDepth]:
    """The platform's queues with the work queues of these pools."""
    names = [queue.name for queue in queues(pools, ())]
    return [await _depth(connection, name) for name in names]


async def _depth(connection: AbstractRobustConnection, name: str) -> QueueDepth:
    # The broker closes the channel when the queue is missing, so each question gets its own.
    transport = connection.transport
    if transport is None:
        raise ConnectionError("the broker is away")
    channel = await transport.connection.channel()
    try:
        found = await channel.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return QueueDepth(name, None, None)
    await channel.close()
    return QueueDepth(name, found.message_count, found.consumer_count)
