"""An executor and a recovery service as real processes, one broker namespace and one database for each test."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg

HERE = Path(__file__).parent
PATIENCE = 30.0


async def until(what: str, holds: Callable[[], Awaitable[Any]], *, seconds: float = PATIENCE) -> Any:
    """Poll until the answer is true; fails with `what` was waited for and the last answer."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        answer = await holds()
        if answer:
            return answer
        assert loop.time() < deadline, f"waited {seconds} s for: {what}; the last answer was {answer!r}"
        await asyncio.sleep(0.02)


@dataclass
class Site:
    """Where one test plays."""

    folder: Path
    database_url: str
    amqp_url: str
    redis_url: str
    connection: asyncpg.Connection
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, service: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a service process; `environ` names settings without their prefix."""
        name = f"{service}-{len(self.running)}"
        with (self.folder / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", service], env=self._environ(environ), stderr=output, stdout=output
            )
        self.running.append(process)
        return process

    def _environ(self, changes: dict[str, str]) -> dict[str, str]:
        settings = {
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "REDIS_URL": self.redis_url,
            "WORKFLOWS": "crash_workflows",
            # The scan is off: what these tests show has to hold without it.
            "RECOVERY_STARTUP_DELAY": "1h",
            "SCAN_INTERVAL": "1h",
            "RELAY_INTERVAL": "100ms",
            "RELAY_AFTER": "200ms",
            "EXECUTOR_PORT": "0",
            "RECOVERY_PORT": "0",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        paths = {"PYTHONPATH": str(HERE), "EFFECTS": str(self.effects), "GATE": str(self.gate)}
        return inherited | paths | {f"RATCHET_{name}": value for name, value in (settings | changes).items()}

    @property
    def effects(self) -> Path:
        """What steps did."""
        return self.folder / "effects"

    @property
    def gate(self) -> Path:
        """Create it to let lingering steps go on."""
        return self.folder / "gate"

    def counted_effects(self) -> Counter[str]:
        """How often each step was executed."""
        lines = self.effects.read_text().splitlines() if self.effects.exists() else []
        return Counter(line.split()[1] for line in lines)

    async def ran(self, step: str) -> None:
        """Wait until a step was begun."""

        async def counted() -> bool:
            return self.counted_effects()[step] >= 1

        await until(f"step {step} to run", counted)

    async def publish(self, key: str, body: Any, *, message_id: str | None = None) -> str:
        """Send a command the way an upstream service would."""
        message_id = message_id or str(uuid.uuid4())
        connection = await aio_pika.connect(self.amqp_url)
        async with connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.get_exchange("ratchet.commands", ensure=False)
            await exchange.publish(
                aio_pika.Message(
                    json.dumps(body).encode(), message_id=message_id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                ),
                key,
            )
        return message_id

    async def begin(self, definition: str, **state: Any) -> uuid.UUID:
        """Start a workflow; waits until an executor has declared the queues."""
        workflow_id = uuid.uuid4()
        body = {"workflowId": str(workflow_id), "definition": definition, "ownerId": "sarah", "input": state}

        async def accepted() -> bool:
            try:
                await self.publish("workflow.start", body)
            except (aio_pika.exceptions.AMQPError, aio_pika.exceptions.DeliveryError):
                return False
            return True

        await until("the queues to be declared", accepted)
        return workflow_id

    async def status(self, workflow_id: uuid.UUID) -> str | None:
        """The workflow's status, or None before it is known."""
        status: str | None = await self.connection.fetchval(
            "SELECT status::text FROM workflow_instances WHERE id = $1", workflow_id
        )
        return status

    async def reaches(self, workflow_id: uuid.UUID, status: str, *, seconds: float = PATIENCE) -> None:
        """Wait for a status."""

        async def there() -> bool:
            return await self.status(workflow_id) == status

        await until(f"workflow to become {status}", there, seconds=seconds)

    async def logs(self, service: str, event: str) -> None:
        """Wait until a service's log tells of an event."""

        async def told() -> bool:
            return f'"{event}"' in (self.folder / f"{service}.log").read_text()

        await until(f"{service} to log {event}", told)

    async def died(self, process: subprocess.Popen[bytes], *, code: int) -> None:
        """Wait for a process to end with this exit code."""

        async def gone() -> bool:
            return process.poll() is not None

        await until("the process to die at its crash point", gone)
        assert process.returncode == code

    async def count(self, query: str) -> int:
        """A number from the database."""
        return int(await self.connection.fetchval(query))

    async def outbox_drains(self, *, seconds: float = 2.0) -> None:
        """What a crash left behind is published soon."""

        async def empty() -> bool:
            return await self.count("SELECT count(*) FROM outbox") == 0

        await until("the outbox to be empty", empty, seconds=seconds)

    def close(self) -> None:
        """End every process that this test started."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
