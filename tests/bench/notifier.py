"""Measures one notifier process: `python -m tests.bench.notifier [--quick]`. Prints a table and writes JSON.

Server, clients, publisher, Postgres, RabbitMQ and Valkey share this machine, so the figures are of the whole.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
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
from local_stack.servers import RunningServers, own_servers
from ratchet.adapters.postgres.migrate import migrate
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages import events
from ratchet.messages.events import Subject
from rich.console import Console
from rich.table import Table

from tests.bench.notifier_sockets import Heard, ThinSocket, open_socket

PROJECT = Path(__file__).parents[2]
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


FULL = Plan(idle=10_000, fan_sockets=2000, fan_events=100, users=1000, seconds=15)
QUICK = Plan(idle=500, fan_sockets=300, fan_events=50, users=100, seconds=4)


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


async def measure_idle(plan: Plan, port: int, server: psutil.Process) -> dict[str, Any]:
    """Sockets held with nothing to do, each of another user."""
    before = server.memory_info().rss
    started = time.perf_counter()
    async with sockets(plan.idle, f"ws://127.0.0.1:{port}/ws", lambda _frame: None, users=plan.idle) as opened:
        seconds = time.perf_counter() - started
        await asyncio.sleep(2)
        used = server.memory_info().rss - before
        busy = server.cpu_percent(interval=None) or server.cpu_percent(interval=5)
        lost = sum(socket.opened.exception() is not None for socket in opened)
    return {
        "idle sockets": plan.idle - lost,
        "connects per second": round(plan.idle / seconds),
        "KiB per idle socket": round(used / plan.idle / 1024, 1),
        "MiB of the process": round((before + used) / 2**20),
        "CPU % while idle": round(busy, 1),
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

    @property
    def per_second(self) -> float:
        """The rate of deliveries."""
        return self.count / (self.last - self.first)


async def measure_fan_out(plan: Plan, port: int, emit: Emitter) -> tuple[Counter, Counter]:
    """The same number of frames to the same number of sockets: the notifier first, then the bare server."""
    counter = Counter(plan.fan_sockets * plan.fan_events)
    async with sockets(plan.fan_sockets, f"ws://127.0.0.1:{port}/ws", counter, users=1):
        await emit(["user-0"] * plan.fan_events)
        async with asyncio.timeout(120):
            await counter.done.wait()
    bare_counter, bare_port = Counter(counter.wanted), choose_port(taken=set())
    with process("-m", "tests.bench.notifier_bare", str(bare_port), port=bare_port, environ={}):
        async with (
            sockets(plan.fan_sockets, f"ws://127.0.0.1:{bare_port}/ws", bare_counter),
            httpx2.AsyncClient(timeout=120) as http,
        ):
            await http.post(f"http://127.0.0.1:{bare_port}/{plan.fan_events}", content=counter.frame)
            async with asyncio.timeout(120):
                await bare_counter.done.wait()
    return counter, bare_counter


async def measure_latency(plan: Plan, port: int, emit: Emitter, *, rate: int) -> list[float]:
    """Milliseconds from the moment after the commit to the frame in the client, at so many events per second."""
    delays: list[float] = []

    def heard(frame: bytes) -> None:
        at = datetime.fromisoformat(orjson.loads(frame)["time"])
        delays.append((datetime.now(UTC) - at).total_seconds() * 1000)

    async with sockets(plan.users, f"ws://127.0.0.1:{port}/ws", heard, users=plan.users):
        pause = 0.005 if rate >= 200 else 1 / rate
        each = max(1, round(rate * pause))
        loop, number = asyncio.get_running_loop(), 0
        begun = loop.time()
        pending: set[asyncio.Task[None]] = set()
        while loop.time() - begun < plan.seconds:
            owners = [f"user-{(number + offset) % plan.users}" for offset in range(each)]
            number += each
            task = asyncio.create_task(emit(owners))
            pending.add(task)
            task.add_done_callback(pending.discard)
            await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
        async with asyncio.timeout(60):
            while len(delays) < number:  # noqa: ASYNC110  # filled by callbacks
                await asyncio.sleep(0.05)
    return delays


def quantiles(delays: list[float], name: str) -> dict[str, float]:
    """p50, p99 and the worst."""
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    return {
        f"{name}: p50 ms": round(cuts[49], 1),
        f"{name}: p99 ms": round(cuts[98], 1),
        f"{name}: max ms": round(max(delays), 1),
    }


async def measure(plan: Plan, servers: RunningServers) -> dict[str, Any]:
    """Everything, on one notifier."""
    database = create_database(servers.database_url, "bench_notifier")
    await migrate(database)
    port = choose_port(taken=set())
    environ = {
        "RATCHET_DATABASE_URL": database,
        "RATCHET_AMQP_URL": servers.amqp_url,
        "RATCHET_REDIS_URL": servers.redis_url,
        "RATCHET_JWT_SECRET": SECRET,
        "RATCHET_NOTIFIER_PORT": str(port),
        "RATCHET_SOCKETS_PER_USER": "100000",
        "RATCHET_LOG_LEVEL": "WARNING",
    }
    figures: dict[str, Any] = {}
    with process("-m", "notifier", port=port, environ=environ) as server:
        publisher = await Publisher.open(servers.amqp_url, name="bench")
        async with publisher.connection.channel() as channel:
            await topology.declare(channel, pools=["default"], delays=[])
        emit = Emitter(publisher)
        figures |= await measure_idle(plan, port, server)
        for rate, name in ((20, "light load (20/s)"), (1000, "1,000 events/s")):
            figures |= quantiles(await measure_latency(plan, port, emit, rate=rate), name)
        ours, bare = await measure_fan_out(plan, port, emit)
        figures |= {
            "fan-out sockets": plan.fan_sockets,
            "fan-out, deliveries/s": round(ours.per_second),
            "bare server, deliveries/s": round(bare.per_second),
            "share of the bare server's rate %": round(100 * ours.per_second / bare.per_second),
        }
        await publisher.close()
    return figures


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--json", type=Path, default=PROJECT / ".ratchet" / "bench" / "notifier.json")
    options = parser.parse_args()
    console = Console(stderr=True)
    with own_servers(PROJECT / ".ratchet" / "bench", say=console.print) as servers:
        figures = uvloop.run(measure(QUICK if options.quick else FULL, servers))
    table = Table(
        "notifier, one process", "measured", title=f"{os.cpu_count()} cores, Python {platform.python_version()}"
    )
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
