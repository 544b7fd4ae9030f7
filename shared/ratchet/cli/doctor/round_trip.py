"""A message's whole way on queues of the doctor's own: confirmed, delivered, dead-lettered at least once, delivered."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPException

from ratchet.cli.doctor.findings import Finding, Level

AREA = "RabbitMQ"
SECONDS = 10
EXPIRES = timedelta(minutes=1)
"""The broker removes the queues by itself should the doctor be interrupted."""


async def check_round_trip(connection: AbstractConnection) -> Finding:
    """Send one message round and measure."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        async with asyncio.timeout(SECONDS), connection.channel(on_return_raises=True) as channel:
            await _send_round(channel)
    except TimeoutError:
        advice = "See the broker's log: an alarm (memory, disk) blocks publishers, and quorum queues need a majority"
        return Finding(AREA, "round trip", Level.RED, f"not back after {SECONDS} s", advice)
    except AMQPException as error:
        advice = "The user needs configure, write and read rights on ratchet.*, and quorum queues must be enabled"
        return Finding(AREA, "round trip", Level.RED, f"{type(error).__name__}: {error}", advice)
    took = (clock() - begun) * 1000
    return Finding(AREA, "round trip", Level.OK, f"published, consumed, dead-lettered, consumed in {took:.0f} ms")


async def _send_round(channel: AbstractChannel) -> None:
    name = f"ratchet.doctor.{uuid4().hex[:12]}"
    end = await _declare(channel, f"{name}.end", {})
    begin = await _declare(
        channel,
        name,
        {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": end.name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    try:
        message = aio_pika.Message(b"{}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT, message_id=name)
        await channel.default_exchange.publish(message, routing_key=begin.name, mandatory=True)
        await (await _next(begin)).reject(requeue=False)
        await (await _next(end)).ack()
    finally:
        for queue in (begin, end):
            await queue.delete(if_unused=False, if_empty=False)


async def _declare(channel: AbstractChannel, name: str, arguments: dict[str, Any]) -> AbstractQueue:
    own: dict[str, Any] = {"x-queue-type": "quorum", "x-expires": round(EXPIRES.total_seconds() * 1000)}
    return await channel.declare_queue(name, durable=True, arguments=own | arguments)


async def _next(queue: AbstractQueue) -> AbstractIncomingMessage:
    arrived: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()

    async def take(message: AbstractIncomingMessage) -> None:
        if not arrived.done():
            arrived.set_result(message)

    tag = await queue.consume(take)
    message = await arrived
    await queue.cancel(tag)
    return message
