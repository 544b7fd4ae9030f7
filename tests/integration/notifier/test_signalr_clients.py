"""Unmodified SignalR clients: the npm one in Node and pysignalr, also over the death of an instance."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
from local_stack.ports import choose_port
from pysignalr.client import SignalRClient
from ratchet.settings import Settings

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.node_peers import Peer, node_peer
from tests.integration.notifier.talk import Emitter, Notifier, token, until
from tests.integration.notifier.test_many_instances import ready, service

SCRIPT = "signalr_client.mjs"


def hub_of(port: int) -> str:
    return f"http://127.0.0.1:{port}/hubs/notifications"


async def ids(peer: Peer, count: int) -> list[int]:
    got: list[int] = []
    while len(got) < count:
        said = await peer.hear()
        if "event" in said:
            got.append(said["data"]["id"])
    return got


async def test_the_npm_client_connects_and_gets_events(notifier: Notifier, emit: Emitter) -> None:
    async with node_peer(SCRIPT, hub_of(notifier.port), token("sarah"), "none") as peer:
        await peer.hear_state("connected")
        await emit("sarah", count=3)
        said = await peer.hear()
        assert said["event"] == "WORKFLOW_COMPLETED"
        assert said["data"]["id"] == 1
        assert await ids(peer, 2) == [2, 3]
        await peer.leave()


async def test_the_npm_client_is_refused_without_a_good_token(notifier: Notifier) -> None:
    async with node_peer(SCRIPT, hub_of(notifier.port), "bad", "none") as peer:
        assert "401" in (await peer.hear_state("refused"))["error"]


async def test_the_npm_client_misses_nothing_over_a_killed_instance(
    settings: Settings, start: Start, emit: Emitter, database: asyncpg.Connection
) -> None:
    async def is_acknowledged() -> bool:
        return bool(await database.fetchval("SELECT max(acknowledged) = 10 FROM feed_readers"))

    for place in ("subscribe", "ack"):
        owner, port = f"owner-{place}", choose_port(taken=set())
        async with service(settings, port) as process:
            await ready(port)
            async with node_peer(SCRIPT, hub_of(port), token(owner), place) as peer:
                await peer.hear_state("connected")
                await emit(owner, count=10)
                seen = await ids(peer, 10)
                if place == "ack":
                    await until(is_acknowledged)
                process.kill()
                await process.wait()
                await emit(owner, count=10)
                await start(port=port)
                seen += await ids(peer, 10)
                await emit(owner)
                seen += await ids(peer, 1)
        assert seen == list(range(1, 22)), place


async def test_a_client_that_only_listens_and_starts_gets_every_event_at_least_once_over_killed_instances(
    settings: Settings, start: Start, emit: Emitter
) -> None:
    """With automatic reconnection, and without: then the page starts a new connection whenever the old one closed."""
    await emit("sarah", count=5)  # before anybody ever connected
    port = choose_port(taken=set())
    wanted = set(range(1, 6))
    async with (
        node_peer("plain_signalr_client.mjs", hub_of(port), token("sarah"), "automatic") as automatic,
        node_peer("plain_signalr_client.mjs", hub_of(port), token("sarah"), "by-hand") as by_hand,
    ):
        for _ in range(2):
            async with service(settings, port) as process:
                await ready(port)
                for peer in (automatic, by_hand):
                    await everything(peer, wanted)
                process.kill()
                await process.wait()
                await emit("sarah", count=5)
                wanted |= set(range(len(wanted) + 1, len(wanted) + 6))
        await start(port=port)
        for peer in (automatic, by_hand):
            await everything(peer, wanted)


async def everything(peer: Peer, wanted: set[int]) -> None:
    """Wait until the last of these has come since the last connection, and see that all of them have come."""
    got: set[int] = set()
    while not wanted <= got:
        said = await peer.hear(30)
        if "event" in said:
            got.add(said["data"]["id"])


async def test_the_npm_client_comes_back_after_a_planned_stop(start: Start, emit: Emitter) -> None:
    port = choose_port(taken=set())
    first = await start(port=port)
    async with node_peer(SCRIPT, hub_of(port), token("sarah"), "subscribe") as peer:
        await peer.hear_state("connected")
        await emit("sarah", count=2)
        assert await ids(peer, 2) == [1, 2]
        await first.stop()
        await peer.hear_state("reconnecting")
        await start(port=port)
        assert (await peer.hear(20))["subscribed"] == {"recovered": True, "after": 2}
        await peer.hear_state("reconnected")
        await emit("sarah")
        assert await ids(peer, 1) == [3]


async def test_pysignalr_gets_events_and_comes_back_over_a_stopped_instance(start: Start, emit: Emitter) -> None:
    port = choose_port(taken=set())
    first = await start(port=port)
    got: asyncio.Queue[Any] = asyncio.Queue()
    opened: asyncio.Queue[None] = asyncio.Queue()
    client = SignalRClient(hub_of(port), headers={"Authorization": f"Bearer {token('sarah')}"})

    async def on_event(arguments: list[Any]) -> None:
        await got.put(arguments[0]["id"])
        await client.send("Ack", [arguments[0]["id"]])

    async def on_open() -> None:
        await opened.put(None)

    client.on("WORKFLOW_COMPLETED", on_event)
    client.on_open(on_open)
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(30):
            await opened.get()
            await emit("sarah", count=3)
            assert [await got.get() for _ in range(3)] == [1, 2, 3]
            await first.stop()
            await start(port=port)
            await emit("sarah", count=2)
            assert [await got.get() for _ in range(2)] == [4, 5]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
