"""Where faults strike: the platform on servers of its own, with a network between them that can be broken."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import httpx2
import psutil
import redis
from local_stack.databases import create_database, drop_database
from local_stack.running_platform import RunningPlatform, running_platform
from local_stack.server_urls import ServerUrls
from local_stack.servers import RunningServers
from local_stack.services import Wishes

from tests.chaos.network import Network, network_before
from tests.chaos.under_fire import EFFECTS_VARIABLE
from tests.harness.administrator import administrator_url
from tests.harness.rabbitmqctl import rabbitmqctl
from tests.harness.waiting import until

PROJECT = Path(__file__).parents[2]
VHOST = "chaos"
EXECUTORS = ("executor", "executor-2")
SERVICES = (*EXECUTORS, "recovery", "notifier", "admin-api")
READY_WITHIN = timedelta(seconds=90)
LEASE = 5.0

SETTINGS = {
    "RATCHET_WORKFLOWS": "tests.chaos.under_fire",
    "RATCHET_LEASE": f"{LEASE}s",
    "RATCHET_STALE_AFTER": "8s",
    "RATCHET_SCAN_INTERVAL": "1s",
    "RATCHET_RECOVERY_STARTUP_DELAY": "500ms",
    "RATCHET_RELAY_INTERVAL": "200ms",
    "RATCHET_RELAY_AFTER": "500ms",
    "RATCHET_SHUTDOWN_GRACE": "2s",
}


@dataclass
class Field:
    """What a fault may break, and the means. `direct` leads to the servers past the network."""

    servers: RunningServers
    platform: RunningPlatform
    network: Network
    direct: ServerUrls
    effects: Path
    chance: random.Random

    def kill(self, *names: str) -> None:
        """SIGKILL; the process manager starts each again. One that is down just now stays as it is."""
        for name in names:
            if self.platform.services.pid_of(name) is not None:
                self.platform.services.kill(name)

    def restart(self, name: str) -> None:
        """SIGTERM, wait for the orderly end, start."""
        self.platform.services.stop_service(name)
        self.platform.services.start_service(name)

    def release(self, name: str, **changes: str) -> None:
        """End it in good order and start it with other settings, as a release does; without `changes` with its own."""
        services = self.platform.services
        [plain] = [service for service in self.platform.plan.services if service.name == name]
        services.stop_service(name)
        services.add(replace(plain, environ={**plain.environ, **changes}))

    def freeze(self, pid: int | None, seconds: float) -> None:
        """SIGSTOP a process and all below it, and let them go on after so long."""
        if pid is None:
            return
        with suppress(psutil.NoSuchProcess):
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            self._signal(family, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                self._signal(family, signal.SIGCONT)

    def crash_server(self, name: str) -> None:
        """SIGKILL a server and start it on its data."""
        self.servers[name].kill()
        self.servers[name].start()

    def control_broker(self, *arguments: str) -> str:
        """Run `rabbitmqctl`."""
        return rabbitmqctl(self.servers, *arguments)

    @contextmanager
    def administering(self) -> Iterator["Administrator"]:
        """The superuser's session on Postgres, past the network."""
        loop = asyncio.new_event_loop()
        session = loop.run_until_complete(asyncpg.connect(administrator_url(self.servers, self.direct.database_url)))
        try:
            yield Administrator(session, loop)
        finally:
            loop.run_until_complete(session.close())
            loop.close()

    def flush_redis(self) -> None:
        """Delete everything that Valkey holds."""
        with redis.Redis.from_url(self.direct.redis_url) as client:
            client.flushall()

    def any_executor(self) -> str:
        """One of the executors, by chance."""
        return self.chance.choice(EXECUTORS)

    def settle(self, *names: str) -> None:
        """Wait until every service (or those named) says that it is ready, however often it was killed before."""
        for service in self.platform.plan.services:
            if names and service.name not in names:
                continue
            until(partial(_answer_of, service.url + service.ready_path), bool, what=service.name, within=READY_WITHIN)

    @staticmethod
    def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@dataclass(frozen=True, slots=True)
class Administrator:
    """A session with all rights."""

    session: asyncpg.Connection
    loop: asyncio.AbstractEventLoop

    def run(self, *statements: str) -> None:
        """One after the other, each by itself."""
        for statement in statements:
            self.loop.run_until_complete(self.session.execute(statement))


@contextmanager
def field_on(servers: RunningServers, chance: random.Random) -> Iterator[Field]:
    """A fresh database, broker namespace, network and platform, for one fault."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        [amqp_url] = servers.create_vhosts([VHOST])
        stack.callback(rabbitmqctl, servers, "delete_vhost", VHOST)
        direct = ServerUrls(create_database(servers.database_url, VHOST), amqp_url, servers.redis_url)
        stack.callback(drop_database, servers.database_url, VHOST)
        network = stack.enter_context(network_before(direct))
        effects = folder / "effects"
        effects.touch()
        wishes = Wishes(_environ(effects), executors=len(EXECUTORS), private_ports=True)
        platform = stack.enter_context(
            running_platform(servers.folder, network.urls, wishes, ready_within=READY_WITHIN)
        )
        yield Field(servers, platform, network, direct, effects, chance)


def repeat_until(deadline: float, act: Callable[[], Any], *, pause: float) -> int:
    """Act, pause, act again until the deadline (monotonic); how often it acted."""
    times = 0
    while time.monotonic() < deadline:
        act()
        times += 1
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
    return times


def _answer_of(url: str) -> bool:
    return httpx2.get(url, timeout=2, trust_env=False).is_success


def _environ(effects: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    path = os.pathsep.join(filter(None, (str(PROJECT), kept.get("PYTHONPATH"))))
    return kept | SETTINGS | {"PYTHONPATH": path, EFFECTS_VARIABLE: str(effects)}
