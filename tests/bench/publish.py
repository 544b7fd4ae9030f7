"""The publisher of the measurements, a process of its own: `publish.py AMQP_URL DEFINITION WORKFLOWS BULK [RATE]`."""

import asyncio
import json
import sys
import time
import uuid

import aiormq
from aiormq import spec
from chains import STATE

IN_FLIGHT = 200


def bodies(definition: str, workflows: int, bulk: int) -> list[bytes]:
    """The messages, `bulk` workflows in each (0: one workflow, not in an array)."""
    starts = [
        {"workflowId": str(uuid.uuid4()), "definition": definition, "ownerId": "bench", "input": STATE}
        for _ in range(workflows)
    ]
    if not bulk:
        return [json.dumps(start).encode() for start in starts]
    return [json.dumps(starts[first : first + bulk]).encode() for first in range(0, workflows, bulk)]


def stamped(body: bytes) -> bytes:
    """The message with the moment of its publishing in the workflow's input."""
    start = json.loads(body)
    start["input"]["publishedAt"] = time.time()
    return json.dumps(start).encode()


async def publish(amqp_url: str, messages: list[bytes], *, rate: float) -> None:
    """Confirmed, persistent, mandatory; as fast as it goes, or `rate` messages a second."""
    connection = await aiormq.connect(amqp_url)
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    slots = asyncio.Semaphore(len(messages) if rate else IN_FLIGHT)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(number: int, body: bytes) -> None:
        async with slots:
            if rate:
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
                body = stamped(body)
            await channel.basic_publish(
                body,
                exchange="ratchet.commands",
                routing_key="workflow.start",
                mandatory=True,
                properties=spec.Basic.Properties(
                    message_id=str(uuid.uuid4()), delivery_mode=2, content_type="application/json"
                ),
            )

    await asyncio.gather(*(one(number, body) for number, body in enumerate(messages)))
    await connection.close()


if __name__ == "__main__":
    url, definition, workflows, bulk, *rest = sys.argv[1:]
    asyncio.run(publish(url, bodies(definition, int(workflows), int(bulk)), rate=float(rest[0]) if rest else 0.0))
