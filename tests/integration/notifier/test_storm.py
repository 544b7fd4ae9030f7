"""Everything at once: clients that come and go, a wiped Redis, a killed instance. Nobody misses or doubles anything."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

import redis
import websockets
from local_stack.ports import choose_port
from ratchet.settings import Settings

from tests.integration.notifier.talk import Client, Emitter, token
from tests.integration.notifier.test_many_instances import ready, service

USERS = 10
DEVICES = 4
EVENTS_PER_USER = 120


@dataclass
class Device:
    """A client that is dropped now and then and goes on from its cursor at any instance."""

    user: str
    ports: list[int]
    dice: random.Random
    ids: list[int] = field(default_factory=list)
    connects: int = 0

    async def run(self, total: int) -> None:
        while len(self.ids) < total:
            with suppress(OSError, websockets.WebSocketException, TimeoutError):
                await self._sit(await self._connect(), total)

    async def _connect(self) -> Client:
        after = self.ids[-1] if self.ids else 0
        url = f"ws://127.0.0.1:{self.dice.choice(self.ports)}/ws?after={after}"
        headers = {"Authorization": f"Bearer {token(self.user)}"}
        self.connects += 1
        return Client(await websockets.connect(url, additional_headers=headers, proxy=None, compression=None))

    async def _sit(self, client: Client, total: int) -> None:
        try:
            async with asyncio.timeout(self.dice.uniform(0.3, 3)):
                while len(self.ids) < total:
                    self.ids.append((await client.receive(30))["id"])
        finally:
            client.socket.transport.abort()


async def test_a_storm_costs_nobody_an_event(settings: Settings, emit: Emitter) -> None:
    dice = random.Random(7)
    ports = [choose_port(taken=set()), choose_port(taken=set())]
    async with service(settings, ports[0]), service(settings, ports[1]) as doomed:
        await asyncio.gather(*map(ready, ports))
        devices = [Device(f"user-{number % USERS}", ports, random.Random(number)) for number in range(USERS * DEVICES)]
        watching = asyncio.gather(*(device.run(EVENTS_PER_USER) for device in devices))
        publishing = asyncio.create_task(_publish(emit, dice))
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as wipe:
            for _ in range(3):
                await asyncio.sleep(1)
                wipe.flushall()
        doomed.kill()
        await doomed.wait()
        async with service(settings, ports[1]):
            await publishing
            async with asyncio.timeout(60):
                await watching
    for device in devices:
        assert device.ids == list(range(1, EVENTS_PER_USER + 1)), device.user
    assert sum(device.connects for device in devices) > 2 * len(devices)


async def _publish(emit: Emitter, dice: random.Random) -> None:
    owners = [f"user-{number}" for number in range(USERS)] * EVENTS_PER_USER
    dice.shuffle(owners)
    for start in range(0, len(owners), 10):
        await asyncio.gather(*map(emit, owners[start : start + 10]))
        await asyncio.sleep(0.03)
