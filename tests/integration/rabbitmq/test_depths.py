"""How full the pools' queues are is asked of the broker, and the asking changes nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.depths import read_depths
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.domain.interruption import NO_QUEUE, QueueDepth
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import steps_queue, to_pool


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    opened = await Publisher.open(amqp_url, name="test")
    async with opened.connection.channel() as channel:
        await topology.declare(channel, pools=["default", "mail"], delays=[])
    yield opened
    await opened.close()


def commands(pool: str, number: int) -> list[Outgoing]:
    return [Outgoing(to_pool(pool), str(uuid.uuid4()), "ContinueWorkflow", b"{}", "c") for _ in range(number)]


async def test_each_pool_has_its_own_depth_and_a_pool_without_a_queue_is_empty_and_unserved(
    publisher: Publisher,
) -> None:
    await publisher.publish([*commands("default", 3), *commands("mail", 1)])
    found = await read_depths(publisher.connection, ["mail", "default", "nowhere", "mail"])
    assert found == {"default": QueueDepth(3, 0), "mail": QueueDepth(1, 0), "nowhere": NO_QUEUE}


async def test_asking_takes_nothing_out_and_marks_nothing_as_delivered(publisher: Publisher) -> None:
    await publisher.publish(commands("default", 2))
    for _ in range(30):  # more often than the broker would return a message
        await read_depths(publisher.connection, ["default", "nowhere"])
    async with publisher.connection.channel() as channel:
        queue = await channel.get_queue(steps_queue("default"), ensure=False)
        received = [await queue.get(no_ack=True) for _ in range(2)]
    assert [bool(message.redelivered) for message in received] == [False, False]


async def test_what_an_executor_holds_is_no_backlog_but_the_executor_is_seen(publisher: Publisher) -> None:
    held: asyncio.Queue[object] = asyncio.Queue()
    async with publisher.connection.channel() as channel:
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue(steps_queue("default"), ensure=False)
        await queue.consume(held.put)
        await publisher.publish(commands("default", 2))
        await asyncio.wait_for(held.get(), 10)
        assert await read_depths(publisher.connection, ["default"]) == {"default": QueueDepth(1, 1)}


async def test_no_pools_are_no_question(publisher: Publisher) -> None:
    assert await read_depths(publisher.connection, []) == {}
