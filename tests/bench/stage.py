"""Where measurements take place: fresh servers, a fresh database and namespace, executors as processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiormq
import psutil
from local_stack.databases import create_database, drop_database
from local_stack.ports import choose_port
from local_stack.servers import RunningServers, own_servers
from ratchet.adapters.postgres.migrate import migrate
from ratchet.adapters.rabbitmq import topology

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
MIB = 1024 * 1024


@dataclass
class Executor:
    """One executor process."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def resident_mib(self) -> float:
        """Its memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss / MIB)

    def metric(self, name: str) -> float:
        """One of its own figures."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        return 0.0


@dataclass
class Stage:
    """One clean place for one measurement."""

    servers: RunningServers
    database_url: str
    amqp_url: str
    executors: list[Executor] = field(default_factory=list)

    def environ(self, **settings: str) -> dict[str, str]:
        """The environment of a service or publisher."""
        own = {
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "REDIS_URL": self.servers.redis_url,
            "WORKFLOWS": "chains",
            "LOG_LEVEL": "ERROR",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        path = os.pathsep.join(filter(None, [str(HERE), inherited.get("PYTHONPATH")]))
        return inherited | {"PYTHONPATH": path} | {f"RATCHET_{key}": value for key, value in (own | settings).items()}

    def start_executor(self, **settings: str) -> Executor:
        """Start one more and wait until it takes work."""
        port = choose_port(taken={executor.port for executor in self.executors})
        command = [sys.executable, "-m", "executor"]
        process = subprocess.Popen(command, env=self.environ(EXECUTOR_PORT=str(port), **settings))
        executor = Executor(process, port)
        self.executors.append(executor)
        wait_for(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), "the executor to be ready")
        return executor

    def start_publisher(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A publisher process of its own, so that its work does not hide in somebody else's."""
        return subprocess.Popen(
            [sys.executable, str(HERE / "publish.py"), self.amqp_url, *arguments], env=self.environ()
        )

    def close(self) -> None:
        """End the executors."""
        for executor in self.executors:
            if executor.process.poll() is None:
                executor.process.send_signal(signal.SIGTERM)
        for executor in self.executors:
            executor.process.wait()


@contextmanager
def servers_for_bench() -> Iterator[RunningServers]:
    """One set of servers for all measurements of a run."""
    with own_servers(PROJECT / ".ratchet" / "bench", say=print, fresh=True) as servers:
        yield servers


@contextmanager
def clean_stage(servers: RunningServers) -> Iterator[Stage]:
    """A fresh database and broker namespace; neither is left behind for the next measurement to carry along."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    url = create_database(servers.database_url, name)
    asyncio.run(migrate(url))
    [amqp_url] = servers.create_vhosts([name])
    stage = Stage(servers, url, amqp_url)
    try:
        yield stage
    finally:
        stage.close()
        asyncio.run(_delete_queues(amqp_url))
        drop_database(servers.database_url, name)


async def _delete_queues(amqp_url: str) -> None:
    connection = await aiormq.connect(amqp_url)
    channel = await connection.channel()
    delays = [timedelta(seconds=seconds) for seconds in (1, 2, 5)]
    for queue in topology.queues(["default"], delays):
        await channel.queue_delete(queue.name)
    await connection.close()


def wait_for(holds: Callable[[], bool], what: str, *, seconds: float = 60.0, every: float = 0.02) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(every)


def cpu_seconds_below(pid: int) -> float:
    """CPU used so far by a server's process and all below it, those that ended included."""
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return sum(sum(process.cpu_times()[:4]) for process in processes)
    except psutil.NoSuchProcess:
        return 0.0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
