"""Whether a start may still come: seen in the line, in the waiting room, in an executor's hands, or as a promise."""

import uuid
from datetime import timedelta

import aio_pika
import asyncpg
from ratchet.adapters.postgres.presence import PostgresPresence
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.starts_under_way import StartsOnTheirWay
from ratchet.messages.rounds import StartsUnderWay
from ratchet.messages.routes import again_name


async def test_a_start_that_may_still_come_is_seen_wherever_it_is(pool: asyncpg.Pool, amqp_url: str) -> None:
    connection = await aio_pika.connect_robust(amqp_url)
    async with connection:
        channel = await connection.channel()

        async def seen(workflow_id: uuid.UUID | None = None) -> StartsUnderWay:
            return await StartsOnTheirWay(pool, connection)(workflow_id or uuid.uuid4())

        assert not (await seen()).any, "queues that do not exist hold nothing"
        await topology.declare(channel, pools=["default"], delays=[])
        presence = PostgresPresence(pool, executor="e")
        await presence.arrive([], ["default"])
        assert not (await seen()).any
        await presence.beat(is_unpacking=True)
        assert await seen() == StartsUnderWay(unpacking=True)
        await pool.execute("UPDATE executors SET seen_at = seen_at - interval '11 seconds'")
        assert not (await seen()).any, "of an executor that was not seen for long nothing is expected"
        promised = uuid.uuid4()
        await pool.execute(
            "INSERT INTO accepted_starts (workflow_id, definition, version, owner_id, content_hash, correlation_id)"
            " VALUES ($1, 'sample', 1, 'sarah', 'x', 'c')",
            promised,
        )
        assert await seen(promised) == StartsUnderWay(promised=True)
        assert not (await seen()).any
        again = await channel.get_exchange(again_name(timedelta(seconds=30)), ensure=False)
        await again.publish(aio_pika.Message(b"{}"), "workflow.start")
        commands = await channel.get_exchange("ratchet.commands", ensure=False)
        for _ in range(2):
            await commands.publish(aio_pika.Message(b"{}"), "workflow.start")
        assert await seen() == StartsUnderWay(in_line=2, coming_again=1)
