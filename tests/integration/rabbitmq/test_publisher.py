"""Publishing returns only when the broker has the message, and says so when it has not."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import aio_pika
import asyncpg
import pytest
from local_stack.servers import RunningServers
from ratchet.adapters.postgres import outbox
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages.envelope import Outgoing, Unconfirmed
from ratchet.messages.routes import COMMANDS, Route, to_pool

NOTHING = timedelta(0)


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    opened = await Publisher.open(amqp_url, name="test")
    async with opened.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[timedelta(milliseconds=200)])
    yield opened
    await opened.close()


def message(route: Route | None = None, **changes: object) -> Outgoing:
    return Outgoing(route or to_pool("default"), str(uuid.uuid4()), "ContinueWorkflow", b"{}", "c", **changes)  # type: ignore[arg-type]  # any


async def ready_in(publisher: Publisher, queue: str) -> int:
    async with publisher.connection.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def test_a_published_message_is_persistent_and_carries_its_properties(publisher: Publisher) -> None:
    sent = message(headers={"a": "b"})
    await publisher.publish([sent])
    async with publisher.connection.channel() as channel:
        queue = await channel.get_queue("executor.steps.default", ensure=False)
        received = await queue.get(no_ack=True)
    assert received is not None
    assert received.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert (received.message_id, received.type, received.correlation_id) == (sent.message_id, sent.type, "c")
    assert received.content_type == "application/json"
    assert received.headers["a"] == "b"
    assert received.timestamp is not None


async def test_an_unroutable_message_is_an_error_and_its_neighbours_are_not(publisher: Publisher) -> None:
    lost, fine = message(Route(COMMANDS, "step.nowhere")), message()
    with pytest.raises(Unconfirmed) as caught:
        await publisher.publish([lost, fine])
    assert caught.value.confirmed == {fine.message_id}
    assert await ready_in(publisher, "executor.steps.default") == 1


async def test_a_missing_exchange_is_an_error_and_the_publisher_goes_on(publisher: Publisher) -> None:
    with pytest.raises(Unconfirmed):
        await publisher.publish([message(Route("no.such.exchange", "x"))])
    for _ in range(50):
        try:
            await publisher.publish([message()])
            break
        except Unconfirmed:
            await asyncio.sleep(0.1)
    assert await ready_in(publisher, "executor.steps.default") == 1


async def test_a_message_that_cannot_be_routed_stays_in_the_outbox_until_it_can(
    publisher: Publisher, pool: asyncpg.Pool
) -> None:
    waiting, fine = message(to_pool("later")), message()
    async with pool.acquire() as connection, connection.transaction():
        await outbox.add(connection, [waiting, fine])
    assert await outbox.relay(pool, publisher, older_than=NOTHING, limit=10) == 2
    assert await pool.fetchval("SELECT message_id FROM outbox") == waiting.message_id
    with pytest.raises(Unconfirmed):
        await outbox.relay(pool, publisher, older_than=NOTHING, limit=10)
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["later"], delays=[])
    assert await outbox.relay(pool, publisher, older_than=NOTHING, limit=10) == 1
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert await ready_in(publisher, "executor.steps.later") == 1


async def test_a_message_that_spoils_its_batch_holds_back_nobody(publisher: Publisher, pool: asyncpg.Pool) -> None:
    """An exchange that is not there costs the whole batch its channel, and a name too long for AMQP its frames."""
    nowhere, too_long = message(Route("no.such.exchange", "x")), message(Route(COMMANDS, "k" * 300))
    fine = [message() for _ in range(3)]
    async with pool.acquire() as connection, connection.transaction():
        await outbox.add(connection, [fine[0], nowhere, too_long, *fine[1:]])
    with suppress(Unconfirmed):
        await outbox.relay(pool, publisher, older_than=NOTHING, limit=10)
    left = {row["message_id"] for row in await pool.fetch("SELECT message_id FROM outbox")}
    assert left == {nowhere.message_id, too_long.message_id}
    assert await ready_in(publisher, "executor.steps.default") >= 3


async def test_a_broker_that_is_away_loses_nothing_of_the_outbox(
    servers: RunningServers, publisher: Publisher, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.add(connection, [message() for _ in range(20)])
    await asyncio.to_thread(servers["rabbitmq"].stop)
    try:
        with pytest.raises(Unconfirmed):
            await outbox.relay(pool, publisher, older_than=NOTHING, limit=100)
        assert await pool.fetchval("SELECT count(*) FROM outbox") == 20
    finally:
        await asyncio.to_thread(servers["rabbitmq"].start)
    for _ in range(100):
        try:
            await outbox.relay(pool, publisher, older_than=NOTHING, limit=100)
            break
        except Unconfirmed:
            await asyncio.sleep(0.2)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert await ready_in(publisher, "executor.steps.default") >= 20


async def test_two_relays_share_the_work(publisher: Publisher, pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.add(connection, [message() for _ in range(100)])
    taken = await asyncio.gather(
        *(outbox.relay(pool, publisher, older_than=NOTHING, limit=50) for _ in range(4)), return_exceptions=False
    )
    assert sum(taken) == 100
    assert await ready_in(publisher, "executor.steps.default") == 100


async def test_a_delayed_message_comes_back_to_its_pool_in_time(publisher: Publisher) -> None:
    delay = timedelta(milliseconds=200)
    loop = asyncio.get_running_loop()
    sent_at = loop.time()
    await publisher.publish([message(to_pool("default", delay), delay=delay * 0.8)])
    async with publisher.connection.channel() as channel:
        queue = await channel.get_queue("executor.steps.default", ensure=False)
        async with queue.iterator(no_ack=True) as deliveries:
            received = await anext(deliveries)
    took = loop.time() - sent_at
    assert received.routing_key == "step.default"
    assert 0.15 <= took < 1.5


async def test_every_queue_is_lossless_where_it_dead_letters(publisher: Publisher) -> None:
    for queue in topology.queues(["default", "mail"], [timedelta(seconds=2)]):
        assert queue.all_arguments["x-queue-type"] == "quorum"
        if "x-dead-letter-exchange" in queue.arguments:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-overflow"] == "reject-publish"
