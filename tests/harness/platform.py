"""The platform under test: the four services as processes on real servers, and the doors that everybody may use."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from local_stack.apart import run_apart
from local_stack.databases import create_database
from local_stack.ports import choose_port
from local_stack.running_platform import RunningPlatform, running_platform
from local_stack.server_urls import ServerUrls
from local_stack.servers import RunningServers
from local_stack.services import Wishes
from local_stack.supervisor import Service

from tests.harness.person import Person
from tests.harness.stage import FOLDER_VARIABLE, Stage
from tests.harness.upstream import Upstream

PROJECT = Path(__file__).parents[2]
SERVICES = ("executor", "recovery", "notifier", "admin-api")
READY_WITHIN = timedelta(seconds=60)

# As quick as the contract lets one choose. The lease stays long enough for a machine that is busy with other things.
SETTINGS = {
    "RATCHET_WORKFLOWS": "tests.harness.workflows,document_approval",
    "RATCHET_RETRY_DELAYS": "0s,200ms,400ms",
    "RATCHET_LEASE": "5s",
    "RATCHET_STALE_AFTER": "8s",
    "RATCHET_SCAN_INTERVAL": "1s",
    "RATCHET_RECOVERY_STARTUP_DELAY": "500ms",
    "RATCHET_RELAY_INTERVAL": "100ms",
    "RATCHET_RELAY_AFTER": "300ms",
    "RATCHET_SHUTDOWN_GRACE": "2s",
}


@dataclass(slots=True)
class Platform:
    """Everything a test needs. People get names of their own in each test, so tests do not see each other's events."""

    running: RunningPlatform
    stage: Stage
    http: httpx2.Client
    upstream: Upstream
    down: set[str] = field(default_factory=set)

    def person(self, name: str, *roles: str) -> Person:
        """Somebody new, with a token for these roles (a plain user without)."""
        unique = f"{name}-{uuid.uuid4().hex[:6]}"
        token = self.running.token(unique, *(roles or ("user",)))
        return Person(unique, token, self.running.api_url, self.running.notifier_url, self.http)

    def crash(self, *names: str) -> None:
        """Kill services (SIGKILL) and keep them down until `start`."""
        for name in names:
            self.running.services.kill(name)
        for name in names:
            self.running.services.stop_service(name)
            self.down.add(name)

    def stop(self, name: str) -> None:
        """Ask a service to end (SIGTERM) and keep it down until `start`; returns when it has ended."""
        self.running.services.stop_service(name)
        self.down.add(name)

    def start(self, *names: str) -> None:
        """Start services that are down, and wait until they are ready. Nothing happens without names."""
        if not names:
            return
        for name in names:
            self.running.services.start_service(name)
        self.running.services.wait_ready(READY_WITHIN, names=list(names))
        self.down.difference_update(names)

    def restart_afresh(self, name: str) -> None:
        """End a service and start it, so that its earlier deaths are forgotten."""
        self.stop(name)
        self.start(name)

    def pid_of(self, name: str) -> int | None:
        """The service's process id now."""
        return self.running.services.pid_of(name)

    @contextmanager
    def another_executor(self, name: str, settings: Mapping[str, str], without: tuple[str, ...]) -> Iterator[None]:
        """One more executor, with other settings, for as long as the context is open."""
        environ = {key: value for key, value in self.running.environ.items() if key not in without}
        port = choose_port(set())
        environ |= {"RATCHET_EXECUTOR_PORT": str(port), **settings}
        arguments = (sys.executable, "-m", "executor")
        self.running.services.add(Service(name, arguments, port, "RATCHET_EXECUTOR_MORE_PID", environ))
        try:
            self.running.services.wait_ready(READY_WITHIN, names=[name])
            yield
        finally:
            self.running.services.stop_service(name)

    def metric(self, service: str, name: str) -> float:
        """A metric without labels, as the service tells it now."""
        urls = {"executor": self.running.executor_url, "recovery": self.running.recovery_url}
        lines = self.http.get(f"{urls[service]}/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """Run one statement in the platform's database."""
        return run_apart(_fetch(self.running.environ["RATCHET_DATABASE_URL"], statement, arguments))

    def log_lines(self, service: str, containing: object) -> list[dict[str, Any]]:
        """What a service wrote about something (a workflow's id, an event's word), each line read as JSON."""
        log = self.running.folder.logs / f"{service}.log"
        lines = [line for line in log.read_text().splitlines() if str(containing) in line]
        return [json.loads(line) for line in lines]


@contextmanager
def platform_on(servers: RunningServers) -> Iterator[Platform]:
    """The platform on a database and a broker namespace of its own, for as long as the context is open."""
    [amqp_url] = servers.create_vhosts(["acceptance"])
    database_url = create_database(servers.database_url, "acceptance")
    stage = Stage(servers.folder.root / "stage" / uuid.uuid4().hex[:8])
    stage.folder.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    path = os.pathsep.join(filter(None, (str(PROJECT), kept.get("PYTHONPATH"))))
    environ = kept | SETTINGS | {"PYTHONPATH": path, FOLDER_VARIABLE: str(stage.folder)}
    urls = ServerUrls(database_url, amqp_url, servers.redis_url)
    wishes = Wishes(environ, private_ports=True)
    with running_platform(servers.folder, urls, wishes) as running, httpx2.Client(trust_env=False, timeout=30) as http:
        yield Platform(running, stage, http, Upstream(amqp_url))


async def _fetch(url: str, statement: str, arguments: tuple[Any, ...]) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with asyncio.timeout(10):
            return [dict(row) for row in await connection.fetch(statement, *arguments)]
    finally:
        await connection.close()
