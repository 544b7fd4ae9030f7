"""How full the pools' queues are, asked without taking anything out."""

from collections.abc import Iterable

from aio_pika.abc import AbstractRobustConnection
from aiormq.exceptions import ChannelNotFoundEntity

from ratchet.domain.interruption import NO_QUEUE, QueueDepth
from ratchet.messages.routes import steps_queue


async def ready_in(connection: AbstractRobustConnection, queues: Iterable[str]) -> dict[str, int]:
    """Ready messages of queues by name; 0 for one that does not exist. Raises AMQPError when the broker is away."""
    found: dict[str, int] = {}
    async with connection.channel() as opened:
        transport = (await opened.get_underlay_channel()).connection
    for queue in queues:
        channel = await transport.channel()
        try:
            found[queue] = (await channel.queue_declare(queue, passive=True)).message_count or 0
        except ChannelNotFoundEntity:
            found[queue] = 0
        else:
            await channel.close()
    return found


async def read_depths(connection: AbstractRobustConnection, pools: Iterable[str]) -> dict[str, QueueDepth]:
    """Ready messages and consumers of each pool's queue; a queue that does not exist is empty and unserved.

    Raises:
        AMQPError: the broker is away.
    """
    found: dict[str, QueueDepth] = {}
    async with connection.channel() as opened:
        transport = (await opened.get_underlay_channel()).connection
    for pool in sorted(set(pools)):
        # The broker closes the channel when there is no such queue, so each question gets its own.
        channel = await transport.channel()
        try:
            answer = await channel.queue_declare(steps_queue(pool), passive=True)
        except ChannelNotFoundEntity:
            found[pool] = NO_QUEUE
        else:
            found[pool] = QueueDepth(answer.message_count or 0, answer.consumer_count or 0)
            await channel.close()
    return found
