"""The publisher of the measurements, a process of its own: `publish.py AMQP_URL DEFINITION WORKFLOWS BULK [RATE]`."""

import asyncio
import json
import sys
import time
import uuid

import uvloop
from chains import STATE
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import COMMANDS, START, Route

BATCH_BYTES, LANES = 64 * 1024, 4


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
    publisher = await Publisher.open(amqp_url, name="bench")
    if rate:
        await asyncio.gather(*(_in_time(publisher, number / rate, body) for number, body in enumerate(messages)))
    else:
        size = max(1, BATCH_BYTES // len(messages[0]))
        batches = [messages[first : first + size] for first in range(0, len(messages), size)]
        await asyncio.gather(*(_one_by_one(publisher, batches[lane::LANES]) for lane in range(LANES)))
    await publisher.close()


async def _in_time(publisher: Publisher, wait: float, body: bytes) -> None:
    await asyncio.sleep(wait)
    await publisher.publish([_message(stamped(body))])


async def _one_by_one(publisher: Publisher, batches: list[list[bytes]]) -> None:
    for batch in batches:
        await publisher.publish([_message(body) for body in batch])


def _message(body: bytes) -> Outgoing:
    return Outgoing(Route(COMMANDS, START), str(uuid.uuid4()), "StartWorkflow", body, str(uuid.uuid4()))


if __name__ == "__main__":
    url, definition, workflows, bulk, *rest = sys.argv[1:]
    uvloop.run(publish(url, bodies(definition, int(workflows), int(bulk)), rate=float(rest[0]) if rest else 0.0))
