"""The command publisher against a real broker: what arrives, what is refused, what survives the broker's death."""

import asyncio
import json
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from local_stack.servers import RunningServers
from ratchet.adapters.rabbitmq import topology
from ratchet.client import CommandPublisher, Envelope, NotRouted

QUEUE = "executor.steps.default"


@pytest.fixture
async def queue(amqp_url: str) -> AsyncIterator[AbstractQueue]:
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
        yield await channel.get_queue(QUEUE)


async def next_of(queue: AbstractQueue) -> AbstractIncomingMessage:
    async with asyncio.timeout(10), queue.iterator() as messages:
        async for message in messages:
            await message.ack()
            return message
    raise AssertionError("the iterator never ends")


async def test_a_start_arrives_persistent_and_with_all_its_properties(amqp_url: str, queue: AbstractQueue) -> None:
    envelope = Envelope(correlation_id="corr-1", traceparent="00-trace")
    async with await CommandPublisher.open(amqp_url) as publisher:
        receipt = await publisher.start("x", {"a": 1}, owner_id="sarah", envelope=envelope)
    message = await next_of(queue)
    assert message.message_id == receipt.message_id
    assert message.correlation_id == "corr-1"
    assert message.type == "StartWorkflow"
    assert message.content_type == "application/json"
    assert message.timestamp is not None
    assert message.headers["traceparent"] == "00-trace"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert json.loads(message.body)["workflowId"] == str(receipt.workflow_id)


async def test_a_broker_without_ratchet_s_exchange_is_told_at_the_door(amqp_url: str) -> None:
    with pytest.raises(NotRouted, match="start Ratchet's services"):
        await CommandPublisher.open(amqp_url)


async def test_a_command_without_a_queue_is_not_thrown_away_in_silence(amqp_url: str, queue: AbstractQueue) -> None:
    await queue.delete(if_unused=False, if_empty=False)
    async with await CommandPublisher.open(amqp_url) as publisher:
        with pytest.raises(NotRouted, match="no queue for this command"):
            await publisher.start("x", owner_id="sarah")


async def test_a_command_outlives_the_broker_s_death(servers: RunningServers, amqp_url: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
        # Measured on RabbitMQ 3.10.8: the quorum queue that was declared last finds no leader any more if its broker is
        # killed within a second. Whichever comes before it does, so one more is declared that nobody needs.
        await channel.declare_queue("declared last", durable=True, arguments={"x-queue-type": "quorum"})
    async with await CommandPublisher.open(amqp_url) as publisher:
        await asyncio.to_thread(servers["rabbitmq"].kill)
        sending = asyncio.create_task(publisher.start("x", owner_id="sarah", envelope=Envelope(message_id="m-1")))
        await asyncio.to_thread(servers["rabbitmq"].start)
        receipt = await sending
    assert receipt.message_id == "m-1"
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        assert (await next_of(await channel.get_queue(QUEUE))).message_id == "m-1"
