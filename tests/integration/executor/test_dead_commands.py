"""Commands that the broker gave up before anybody took them up: a lock, a series of kills; none of them is lost."""

import asyncio
import uuid
from typing import Any

import aio_pika
from ratchet.adapters.rabbitmq.topology import DELIVERY_LIMIT

from tests.integration.executor.processes import Site, until

QUEUE = "executor.steps.default"


async def returned_too_often(site: Site, number: int) -> None:
    """Consumers take this many messages and die, as often as it takes; recovery has begun to listen before."""

    async def taken() -> int:
        connection = await aio_pika.connect(site.amqp_url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(QUEUE, passive=True)
            messages = [await queue.get(fail=False) for _ in range(number)]
            return sum(message is not None for message in messages)

    async def all_taken() -> bool:
        return await taken() == number

    for _ in range(DELIVERY_LIMIT + 1):
        await until("the messages to be there", all_taken)


async def depths(site: Site, *queues: str) -> int:
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        channel = await connection.channel()
        found = [await channel.declare_queue(queue, passive=True) for queue in queues]
        return sum(queue.declaration_result.message_count or 0 for queue in found)


async def test_starts_and_a_step_command_that_died_before_they_were_taken_up_are_carried_out_all_the_same(
    site: Site,
) -> None:
    executor = site.start("executor")
    await site.reaches(await site.begin("many"), "Completed")
    waiting = await site.begin("awaiting")
    await site.reaches(waiting, "InProgress")
    executor.terminate()
    await asyncio.to_thread(executor.wait)
    site.start("recovery")
    ids = [uuid.uuid4() for _ in range(5)]

    def body(workflow_id: uuid.UUID) -> dict[str, Any]:
        return {"workflowId": str(workflow_id), "definition": "many", "ownerId": "sarah", "input": {}}

    await site.publish("workflow.start", body(ids[0]))
    await site.publish("workflow.start", body(ids[1]))
    await site.publish("workflow.start", [body(workflow_id) for workflow_id in ids[2:]])
    await site.publish("step.execute", {"workflowId": str(waiting), "stepId": "approve", "inputs": {"by": "ada"}})
    await returned_too_often(site, 4)
    site.start("executor")
    for workflow_id in (*ids, waiting):
        await site.reaches(workflow_id, "Completed")
    assert await site.count("SELECT count(*) FROM parked_messages") == 0
    assert await depths(site, QUEUE, "recovery.dead-letters", "ratchet.parked") == 0
