"""Starts, one by one and by the thousand: each workflow is accepted once and stands alone."""

import asyncio
import json
import uuid
from typing import Any

import aio_pika
import pika

from tests.integration.executor.processes import Site, until


def start(definition: str = "many", **changes: Any) -> dict[str, Any]:
    body = {"workflowId": str(uuid.uuid4()), "definition": definition, "ownerId": "sarah", "input": {"a": 1}}
    return body | changes


async def all_completed(site: Site, number: int) -> None:
    async def counted() -> bool:
        return await site.count("SELECT count(*) FROM workflow_instances WHERE status = 'Completed'") == number

    await until(f"{number} workflows to complete", counted)


async def parked(site: Site, number: int) -> list[Any]:
    async def counted() -> bool:
        return await site.count("SELECT count(*) FROM parked_messages") >= number

    await until(f"{number} messages to be parked", counted)
    return await site.connection.fetch("SELECT * FROM parked_messages ORDER BY parked_at")


async def depth(site: Site, queue: str) -> int:
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


def publish_without_message_id(amqp_url: str) -> None:
    """By a client that adds none of its own accord."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    connection.channel().basic_publish("ratchet.commands", "workflow.start", json.dumps(start()).encode())
    connection.close()


async def test_an_array_starts_every_workflow_in_it_and_a_bad_one_hurts_nobody(site: Site) -> None:
    site.start("executor")
    await site.begin("many")
    members = [start() for _ in range(300)]
    members[7] = {"workflowId": "nonsense"}
    members[100] = start("no-such-definition")
    members[200] = "not an object"  # type: ignore[call-overload]  # wrong on purpose
    await site.publish("workflow.start", members)
    await all_completed(site, 298)
    reasons = [row["reason"] for row in await parked(site, 3)]
    assert any("workflowId" in reason for reason in reasons)
    assert any("no-such-definition" in reason for reason in reasons)
    assert site.counted_effects() == {"only": 298}
    assert await depth(site, "ratchet.parked") == 3


async def test_the_same_start_again_changes_nothing_and_other_content_is_parked(site: Site) -> None:
    site.start("executor")
    await site.begin("many")
    body = start()
    for _ in range(3):
        await site.publish("workflow.start", body)
    await site.publish("workflow.start", body | {"input": {"a": 2}})
    [row] = await parked(site, 1)
    assert "other content" in row["reason"]
    await all_completed(site, 2)
    assert site.counted_effects() == {"only": 2}


async def test_an_array_that_was_interrupted_is_finished_without_doing_anything_twice(site: Site) -> None:
    doomed = site.start("executor", CRASH_AT="after-commit:40")
    await site.begin("many")
    members = [start() for _ in range(150)]
    await site.publish("workflow.start", members)
    await site.died(doomed, code=137)
    site.start("executor")
    await all_completed(site, 151)
    assert await site.count("SELECT count(*) FROM checkpoints") == 151


async def test_what_cannot_be_understood_is_parked_with_its_reason(site: Site) -> None:
    site.start("executor")
    await site.begin("many")
    await site.publish("workflow.start", [])
    await site.publish("workflow.start", {"workflowId": "x"})
    await site.publish("step.execute", {"workflowId": str(uuid.uuid4()), "stepId": "x"})
    await site.publish("step.default", {"nonsense": True})
    await site.publish("workflow.start", [start()] * 1001)
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("ratchet.commands", ensure=False)
        await exchange.publish(aio_pika.Message(b"\xff\xfe", message_id="m"), "workflow.start")
        await exchange.publish(aio_pika.Message(b"x" * (1024 * 1024 + 1), message_id="n"), "workflow.start")
    await asyncio.to_thread(publish_without_message_id, site.amqp_url)
    rows = await parked(site, 8)
    assert len({row["id"] for row in rows}) == 8
    assert any("empty" in row["reason"] for row in rows)
    assert any("message_id" in row["reason"] for row in rows)
    assert any("1048577 bytes" in row["reason"] for row in rows)
    assert any("no workflow" in row["reason"] for row in rows)
    assert any("at most 1000" in row["reason"] for row in rows)
    assert await site.count("SELECT count(*) FROM workflow_instances") == 1


async def test_commands_right_behind_an_array_of_starts_wait_for_theirs_and_none_is_parked(site: Site) -> None:
    site.start("executor", PREFETCH="20")
    site.start("recovery")
    await site.begin("many")
    members = [start("awaiting_slowly") for _ in range(150)]
    await site.publish("workflow.start", members)
    ids = [member["workflowId"] for member in members]
    for workflow_id in ids[:-1]:
        await site.publish("step.execute", {"workflowId": workflow_id, "stepId": "go", "inputs": {"by": "ada"}})
    await site.publish("recovery.CancelWorkflow", {"workflowId": ids[-1], "actor": "ada"})
    await all_completed(site, 150)
    await site.reaches(uuid.UUID(ids[-1]), "Cancelled")
    assert await site.count("SELECT count(*) FROM parked_messages") == 0
    assert site.counted_effects()["go"] == 149
