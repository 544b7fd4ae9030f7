"""One notifier process: idle sockets, fan-out beside a bare server, and the time from commit to client."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import psutil
import uvloop
from joserfc import jwt
from joserfc.jwk import OctKey
from local_stack.databases import create_database
from local_stack.ports import choose_port
from local_stack.servers import RunningServers
from ratchet.adapters.postgres.migrate import migrate
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages import events
from ratchet.messages.events import Subject

from tests.bench.notifier_sockets import Heard, ThinSocket, open_socket
from tests.bench.stage import PROJECT

SECRET = "bench-secret-of-more-than-thirty-two-characters"
CONNECTING_AT_ONCE = 100
FAILURE = events.step_failed(
    "reserve_stock", reason="TimeoutError: no answer from the warehouse", message=events.EXHAUSTED, can_skip=False
)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    idle: int
    fan_sockets: int
    fan_events: int
    users: int
    seconds: int
    rounds: int


FULL = Plan(idle=10_000, fan_sockets=2000, fan_events=100, users=1000, seconds=15, rounds=3)
QUICK = Plan(idle=500, fan_sockets=300, fan_events=50, users=100, seconds=4, rounds=1)

Row = dict[str, Any]


def measure(servers: RunningServers, plan: Plan) -> list[Row]:
    """Everything, on one notifier."""
    return uvloop.run(_measure(servers, plan))


def token(sub: str) -> str:
    claims = {"sub": sub, "roles": ["user"], "exp": time.time() + 3600}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"])


@contextmanager
def process(*arguments: str, port: int, environ: dict[str, str]) -> Iterator[psutil.Process]:
    """A server in a process of its own, ready."""
    child = subprocess.Popen([sys.executable, *arguments], env={**os.environ, **environ}, cwd=PROJECT)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}/0", timeout=2)
                break
            except httpx2.TransportError:
                assert child.poll() is None, "the server has ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@asynccontextmanager
async def sockets(count: int, address: str, heard: Heard, *, users: int = 0) -> AsyncIterator[list[ThinSocket]]:
    """Open sockets; with `users` they belong to so many different ones, else no token is sent."""
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    tokens = [token(f"user-{number}") for number in range(users)]

    async def one(number: int) -> ThinSocket:
        async with gate:
            return await open_socket(address, heard, token=tokens[number % users] if users else None)

    opened = await asyncio.gather(*map(one, range(count)))
    try:
        yield opened
    finally:
        for socket in opened:
            socket.close()


class Emitter:
    """Publishes failures of workflows of these users."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def __call__(self, owners: list[str]) -> None:
        now = datetime.now(UTC)
        await self._publisher.publish(
            [
                events.announce(FAILURE, Subject(uuid4(), owner, "bench"), event_id=str(uuid4()), at=now)
                for owner in owners
            ]
        )


async def measure_idle(plan: Plan, port: int, server: psutil.Process) -> Row:
    """Sockets held with nothing to do, each of another user."""
    before = server.memory_info().rss
    started = time.perf_counter()
    async with sockets(plan.idle, f"ws://127.0.0.1:{port}/ws", lambda _frame: None, users=plan.idle) as opened:
        seconds = time.perf_counter() - started
        await asyncio.sleep(2)
        used = server.memory_info().rss - before
        server.cpu_percent()
        await asyncio.sleep(5)
        busy = server.cpu_percent()
    each, whole = used / len(opened) / 1024, (before + used) / 2**20
    return {
        "what": f"Notifier: {len(opened):,} idle sockets",
        "figure": f"{each:.1f} KiB each, {whole:.0f} MiB in all",
        "details": f"each of another user; {len(opened) / seconds:,.0f} connects/s; {busy:.1f} % of a core while idle",
        "kib_per_socket": each,
        "mib": whole,
        "connects_per_second": len(opened) / seconds,
    }


class Counter:
    """Counts frames and remembers when the first and the last came."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.count = 0
        self.first = self.last = 0.0
        self.done = asyncio.Event()
        self.frame = b""

    def __call__(self, frame: bytes) -> None:
        self.count += 1
        self.last = time.perf_counter()
        if self.count == 1:
            self.first, self.frame = self.last, frame
        if self.count == self.wanted:
            self.done.set()

    async def finish(self) -> None:
        """Wait for the last one."""
        async with asyncio.timeout(120):
            await self.done.wait()

    @property
    def per_second(self) -> float:
        """The rate of deliveries."""
        return self.count / (self.last - self.first)


async def measure_fan_out(plan: Plan, port: int, emit: Emitter) -> Row:
    """The same frames to the same number of sockets, by the notifier and by a bare server, in turns."""
    ours: list[float] = []
    bare: list[float] = []
    wanted = plan.fan_sockets * plan.fan_events
    bare_port = choose_port(taken=set())
    with process("-m", "tests.bench.notifier_bare", str(bare_port), port=bare_port, environ={}):
        for _ in range(plan.rounds):
            counter = Counter(wanted)
            async with sockets(plan.fan_sockets, f"ws://127.0.0.1:{port}/ws", counter, users=1):
                await emit(["user-0"] * plan.fan_events)
                await counter.finish()
            ours.append(counter.per_second)
            bare.append(await _bare_fan_out(plan, bare_port, counter.frame))
    share = statistics.median(ours) / statistics.median(bare)
    return {
        "what": f"Notifier: fan-out to {plan.fan_sockets:,} sockets",
        "figure": f"{statistics.median(ours):,.0f} deliveries/s, {share:.0%} of a bare uvicorn",
        "details": f"{plan.fan_events} events of {len(counter.frame)} bytes; bare: {statistics.median(bare):,.0f}/s",
        "deliveries_per_second": ours,
        "bare_deliveries_per_second": bare,
    }


async def _bare_fan_out(plan: Plan, port: int, frame: bytes) -> float:
    counter = Counter(plan.fan_sockets * plan.fan_events)
    async with (
        sockets(plan.fan_sockets, f"ws://127.0.0.1:{port}/ws", counter),
        httpx2.AsyncClient(timeout=120) as http,
    ):
        await http.post(f"http://127.0.0.1:{port}/{plan.fan_events}", content=frame)
        await counter.finish()
    return counter.per_second


async def measure_latency(plan: Plan, port: int, emit: Emitter, *, rate: int) -> Row:
    """From the moment after the commit to the frame in the client, at so many events per second."""
    delays: list[float] = []

    def heard(frame: bytes) -> None:
        at = datetime.fromisoformat(orjson.loads(frame)["time"])
        delays.append((datetime.now(UTC) - at).total_seconds() * 1000)

    async with sockets(plan.users, f"ws://127.0.0.1:{port}/ws", heard, users=plan.users):
        number = await _emit_steadily(plan, emit, rate)
        async with asyncio.timeout(60):
            while len(delays) < number:  # noqa: ASYNC110  # filled by callbacks
                await asyncio.sleep(0.05)
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    return {
        "what": f"Notifier: commit to client at {rate:,} events/s",
        "figure": f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms",
        "details": f"{number:,} events to {plan.users:,} users, over outbox publish, broker and database",
        "p50": cuts[49],
        "p99": cuts[98],
        "max": max(delays),
    }


async def _emit_steadily(plan: Plan, emit: Emitter, rate: int) -> int:
    each = max(1, rate // 200)
    loop, number = asyncio.get_running_loop(), 0
    begun = loop.time()
    pending: set[asyncio.Task[None]] = set()
    while loop.time() - begun < plan.seconds:
        task = asyncio.create_task(emit([f"user-{(number + offset) % plan.users}" for offset in range(each)]))
        pending.add(task)
        task.add_done_callback(pending.discard)
        number += each
        await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
    await asyncio.gather(*pending)
    return number


async def _measure(servers: RunningServers, plan: Plan) -> list[Row]:
    database = create_database(servers.database_url, "bench_notifier")
    await migrate(database)
    [amqp_url] = servers.create_vhosts([f"bench_{uuid4().hex[:8]}"])
    port = choose_port(taken=set())
    environ = {
        "RATCHET_DATABASE_URL": database,
        "RATCHET_AMQP_URL": amqp_url,
        "RATCHET_REDIS_URL": servers.redis_url,
        "RATCHET_JWT_SECRET": SECRET,
        "RATCHET_NOTIFIER_PORT": str(port),
        "RATCHET_SOCKETS_PER_USER": "100000",
        "RATCHET_LOG_LEVEL": "WARNING",
    }
    with process("-m", "notifier", port=port, environ=environ) as server:
        publisher = await Publisher.open(amqp_url, name="bench")
        async with publisher.connection.channel() as channel:
            await topology.declare(channel, pools=["default"], delays=[])
        emit = Emitter(publisher)
        rows = [
            await measure_idle(plan, port, server),
            await measure_latency(plan, port, emit, rate=20),
            await measure_latency(plan, port, emit, rate=1000),
            await measure_fan_out(plan, port, emit),
        ]
        await publisher.close()
    return rows
