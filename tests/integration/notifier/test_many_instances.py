"""Several notifiers: an event reaches every socket of its user once, whichever instance holds it or stored it."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest
import websockets
from local_stack.ports import choose_port
from ratchet.settings import Settings

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.talk import SECRET, Client, Emitter, Notifier, token, until


async def test_sockets_on_every_instance_get_every_event_exactly_once(start: Start, emit: Emitter) -> None:
    instances = [await start() for _ in range(3)]
    clients = [await instance.connect(token("sarah"), after=0) for instance in instances for _ in range(2)]
    for _ in range(10):
        await emit("sarah", count=10)
    for client in clients:
        assert await client.ids(100) == list(range(1, 101))
        assert await client.is_silent(0.05)


async def test_two_instances_storing_at_once_number_without_gap_or_double(start: Start, emit: Emitter) -> None:
    first, second = await start(), await start()
    await asyncio.gather(*(emit(f"user-{number % 7}", count=40) for number in range(20)))
    staff = await first.connect(token("kim", "admin"), all="true", after=0)
    assert await staff.ids(800) == list(range(1, 801))
    events = {frame["data"]["workflowId"] for frame in staff.got}
    assert len(events) == 800
    stored = [await _metric(instance, "ratchet_notifications_stored_total") for instance in (first, second)]
    assert sum(stored) == 800
    assert min(stored) > 0


async def test_the_same_event_at_two_instances_at_once_is_kept_once(start: Start, emit: Emitter) -> None:
    first, second = await start(), await start()
    client = await first.connect(token("sarah"), after=0)
    other = await second.connect(token("sarah"), after=0)
    ids = [f"event-{number}" for number in range(60)]
    await asyncio.gather(*(emit("sarah", event_id=one) for one in ids for _ in range(4)))
    for each in (client, other):
        assert await each.ids(60) == list(range(1, 61))
        assert await each.is_silent(0.2)
    duplicates = [await _metric(one, "ratchet_notification_duplicates_total") for one in (first, second)]
    assert sum(duplicates) == 180


async def _metric(notifier: Notifier, name: str) -> float:
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{notifier.http}/metrics")).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


@asynccontextmanager
async def service(settings: Settings, port: int) -> AsyncIterator[Process]:
    """The notifier as it is run for real: a process of its own."""
    environ = {
        **os.environ,
        "RATCHET_DATABASE_URL": settings.database_url.get_secret_value(),
        "RATCHET_AMQP_URL": settings.amqp_url.get_secret_value(),
        "RATCHET_REDIS_URL": settings.redis_url.get_secret_value(),
        "RATCHET_JWT_SECRET": SECRET,
        "RATCHET_NOTIFIER_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(port: int) -> None:
    async with httpx2.AsyncClient() as http:

        async def answers() -> bool:
            try:
                return (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
            except httpx2.TransportError:
                return False

        await until(answers, limit=20)


async def client_of(port: int, after: int) -> Client:
    headers = {"Authorization": f"Bearer {token('sarah')}"}
    url = f"ws://127.0.0.1:{port}/ws?after={after}"
    return Client(await websockets.connect(url, additional_headers=headers, proxy=None, compression=None))


async def test_a_killed_instance_costs_its_clients_nothing_but_a_reconnect(
    settings: Settings, start: Start, emit: Emitter
) -> None:
    other, port = await start(), choose_port(taken=set())
    async with service(settings, port) as process:
        await ready(port)
        client = await client_of(port, after=0)
        publishing = asyncio.create_task(_publish_slowly(emit, 60))
        seen = await client.ids(15)
        process.kill()
        with suppress(websockets.ConnectionClosed):
            while True:
                seen += await client.ids(1)
    again = await other.connect(token("sarah"), after=seen[-1])
    await publishing
    seen += await again.ids(60 - len(seen), limit=20)
    assert seen == list(range(1, 61))


async def _publish_slowly(emit: Emitter, count: int) -> None:
    for _ in range(count):
        await emit("sarah")
        await asyncio.sleep(0.01)


async def test_a_stopped_service_tells_its_clients_to_reconnect_and_exits_cleanly(
    settings: Settings, emit: Emitter
) -> None:
    port = choose_port(taken=set())
    async with service(settings, port) as process:
        await ready(port)
        client = await client_of(port, after=0)
        await emit("sarah")
        await client.ids(1)
        process.terminate()
        assert await client.closed_with() == 1012
        _out, log = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert b"Traceback" not in log


async def test_a_token_in_the_query_shows_up_in_no_log(settings: Settings) -> None:
    port, secret = choose_port(taken=set()), token("sarah")
    async with service(settings, port) as process:
        await ready(port)
        url = f"ws://127.0.0.1:{port}/ws"
        async with websockets.connect(f"{url}?access_token={secret}", proxy=None):
            pass
        for query in (f"access_token={secret}&all=true", f"access_token={secret}x"):
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(f"{url}?{query}", proxy=None)
        process.terminate()
        _out, log = await asyncio.wait_for(process.communicate(), 15)
    assert log
    assert secret.encode() not in log
    assert secret.split(".")[1].encode() not in log
