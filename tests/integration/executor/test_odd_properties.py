"""What any AMQP client may put around a body ends no connection, and its neighbours do not notice."""

import json
import struct
import uuid
from typing import Any

import aio_pika
from aiormq import spec
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

from tests.integration.executor.processes import Site
from tests.integration.executor.test_starts import all_completed, parked

COMMANDS = "ratchet.commands"


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def start() -> bytes:
    body = {"workflowId": str(uuid.uuid4()), "definition": "many", "ownerId": "sarah", "input": {"n": 1}}
    return json.dumps(body).encode()


def fresh_id() -> bytes:
    return short(str(uuid.uuid4()).encode())


def odd(size: int, **parts: bytes) -> bytes:
    """A content header with these properties, as bytes that no library would write."""
    names = [name for name in Basic.Properties.__slots__ if name in parts]
    flags = sum(Basic.Properties.flags[name] for name in names)
    return struct.pack(">HHQH", 60, 0, size, flags) + b"".join(parts[name] for name in names)


async def send(channel: Any, key: str, body: bytes, **parts: bytes) -> None:
    number = channel.number
    publish = ChannelFrame.marshall(number, [spec.Basic.Publish(exchange=COMMANDS, routing_key=key)]).payload
    header = odd(len(body), **parts)
    frames = [publish]
    for kind, content in ((2, header), (3, body)):
        frames.append(struct.pack(">BHI", kind, number, len(content)) + content + b"\xce")
    await channel.write_queue.put(ChannelFrame(payload=b"".join(frames), should_close=False))


ODD: dict[str, dict[str, bytes]] = {
    "nanoseconds": {"timestamp": struct.pack(">Q", 1_700_000_000_000_000_000)},
    "latin-1": {"correlation_id": short("bestätigt".encode("latin-1"))},
}


async def test_commands_with_odd_properties_are_carried_out_or_parked_and_their_neighbours_run_once(site: Site) -> None:
    site.start("executor")
    site.start("recovery")
    await site.begin("many")
    async with await aio_pika.connect(site.amqp_url) as connection:
        channel = await (await connection.channel(publisher_confirms=False)).get_underlay_channel()
        for _ in range(3):
            for parts in ODD.values():
                await send(channel, "workflow.start", start(), message_id=fresh_id(), **parts)
                await send(channel, "workflow.start", start(), message_id=fresh_id())
                await send(channel, "recovery.RestartScan", b"{}", message_id=fresh_id(), **parts)
        await send(channel, "workflow.start", start(), message_id=short(b"\xe9\xe8"))
        await all_completed(site, 1 + 3 * 2 * len(ODD))
        [alone] = await parked(site, 1)
    assert "message_id" in alone["reason"]
    assert await site.count("SELECT count(*) FROM recovery_attempts") == 0, "no connection was lost with its deliveries"
    assert max(site.counted_effects().values()) <= 1 + 3 * 2 * len(ODD)
