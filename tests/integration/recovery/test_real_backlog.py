"""A backlog on the real broker, with every executor stopped, is not mistaken for a loss."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.depths import read_depths
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.domain.interruption import QueueDepth
from ratchet.messages.commands import CONTINUE, ContinueWorkflow, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import steps_queue, to_pool
from ratchet.recovery_ports import ScanCounts

from tests.integration.recovery.recovery_stage import RecoveryStage

QUEUED = 10_000
AT_ONCE = 1_000
MINUTE = timedelta(minutes=1)

# Accepted long ago, and nothing has happened since.
ACCEPTED = """
INSERT INTO workflow_instances (id, definition, version, owner_id, status, input, content_hash, correlation_id,
    current_step, command_id, created_at, updated_at)
SELECT gen_random_uuid(), 'chain', 1, 'sarah', 'InProgress', '{}', '', 'c', 'a', gen_random_uuid()::text,
    now() - interval '50 minutes', now() - interval '50 minutes'
FROM generate_series(1, $1) AS n
RETURNING id, command_id
"""


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    opened = await Publisher.open(amqp_url, name="test")
    async with opened.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
    yield opened
    await opened.close()


async def test_ten_thousand_queued_commands_with_executors_stopped_are_not_one_rescue(
    stage: RecoveryStage, publisher: Publisher
) -> None:
    rows = await stage.pool.fetch(ACCEPTED, QUEUED)
    commands = [
        Outgoing(to_pool("default"), row["command_id"], CONTINUE, encode(ContinueWorkflow(workflow_id=row["id"])), "c")
        for row in rows
    ]
    for begin in range(0, QUEUED, AT_ONCE):
        await publisher.publish(commands[begin : begin + AT_ONCE])
    depths = await read_depths(publisher.connection, ["default"])
    assert depths == {"default": QueueDepth(QUEUED, 0)}

    assert await stage.scan(stale_after=MINUTE, depths=depths) == ScanCounts()
    assert stage.listener.messages == []
    assert await stage.pool.fetchval("SELECT count(*) FROM recovery_attempts") == 0
    assert await read_depths(publisher.connection, ["default"]) == depths, "nothing was sent a second time"

    # The same rows are rescued as soon as the queue does not hold their commands any more.
    lost = [row["id"] for row in rows[:7]]
    await stage.pool.execute("DELETE FROM workflow_instances WHERE id <> ALL ($1::uuid[])", lost)
    async with publisher.connection.channel() as channel:
        await (await channel.get_queue(steps_queue("default"), ensure=False)).purge()
    emptied = await read_depths(publisher.connection, ["default"])
    assert await stage.scan(stale_after=MINUTE, depths=emptied) == ScanCounts(resumed=7)
