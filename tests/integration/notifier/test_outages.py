"""Redis or Postgres away, and clients that stop reading: everybody else gets everything, if later."""

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
import redis
from local_stack.servers import RunningServers
from ratchet.settings import Settings

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.talk import Emitter, Notifier, token, until


@pytest.fixture
def valkey_back(servers: RunningServers) -> Iterator[RunningServers]:
    yield servers
    servers["valkey"].start()


async def test_with_redis_away_clients_get_everything_and_its_return_brings_speed_back(
    start: Start, emit: Emitter, valkey_back: RunningServers
) -> None:
    one, two = await start(), await start()
    clients = [await one.connect(token("sarah"), after=0), await two.connect(token("sarah"), after=0)]
    await asyncio.to_thread(valkey_back["valkey"].kill)
    await emit("sarah", count=20)
    for client in clients:
        assert await client.ids(20, limit=8) == list(range(1, 21))
    await asyncio.to_thread(valkey_back["valkey"].start)
    late = [await instance.connect(token("sarah"), after=0) for instance in (one, two)]
    for client in late:
        await client.ids(20)

    async def is_quick() -> bool:
        started = time.monotonic()
        await emit("sarah")
        for client in late:
            await client.ids(1)
        return time.monotonic() - started < 0.5

    # The poll alone is that quick only by chance, and not three times in a row.
    for _ in range(3):
        await until(is_quick, limit=20)


async def test_a_notifier_starts_and_works_without_redis(
    settings: Settings, start: Start, emit: Emitter, valkey_back: RunningServers
) -> None:
    await asyncio.to_thread(valkey_back["valkey"].kill)
    notifier = await start()
    client = await notifier.connect(token("sarah"), after=0)
    await emit("sarah", count=3)
    assert await client.ids(3) == [1, 2, 3]


async def test_wiping_redis_loses_nothing(start: Start, emit: Emitter, settings: Settings) -> None:
    one, two = await start(), await start()
    clients = [await instance.connect(token("sarah"), after=0) for instance in (one, two)]
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as wipe:
        for _ in range(10):
            wipe.flushall()
            await emit("sarah", count=5)
    for client in clients:
        assert await client.ids(50) == list(range(1, 51))


async def test_sockets_outlive_a_restart_of_the_database(
    notifier: Notifier, emit: Emitter, servers: RunningServers
) -> None:
    client = await notifier.connect(token("sarah"), after=0)
    await emit("sarah", count=2)
    assert await client.ids(2) == [1, 2]
    await asyncio.to_thread(servers["postgres"].kill)
    await emit("sarah", count=3)
    await client.ack(2)
    await asyncio.to_thread(servers["postgres"].start)
    assert await client.ids(3, limit=20) == [3, 4, 5]

    async def comes_back_after_two() -> bool:
        again = await notifier.connect(token("sarah"))
        return not await again.is_silent(0.5) and again.got[0]["id"] == 3

    await until(comes_back_after_two, limit=10)


async def test_whoever_does_not_read_is_cut_off_and_the_others_notice_nothing(
    notifier: Notifier, emit: Emitter
) -> None:
    dead = [_handshake_and_never_read(notifier.port) for _ in range(5)]
    living = await notifier.connect(token("sarah"))
    try:
        await until(lambda: _open_sockets(notifier, 6))
        for _ in range(120):
            await emit.large("sarah", kilobytes=60, count=5)
        for wanted in range(1, 601):
            assert (await living.receive(limit=5))["id"] == wanted
        await until(lambda: _open_sockets(notifier, 1), limit=15)
    finally:
        for one in dead:
            one.close()


def _handshake_and_never_read(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    request = (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {token('sarah')}\r\n\r\n"
    )
    one.sendall(request.encode())
    return one


async def _open_sockets(notifier: Notifier, count: int) -> bool:
    return len(notifier.server.server_state.connections) == count
