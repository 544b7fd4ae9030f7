"""What the admin API's tests play with: tokens, rows, and a recovery service that answers as it is told."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aio_pika
import asyncpg
import orjson
from aio_pika.abc import AbstractIncomingMessage
from joserfc import jwt
from joserfc.jwk import OctKey
from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.definition import StepDefinition, WorkflowDefinition, fingerprint, to_document
from ratchet.state import canonical

SECRET = "a-secret-of-the-tests-that-is-long-enough"
STEPS = ("reserve", "charge", "survey")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

ORDERS = WorkflowDefinition("orders", 2, tuple(StepDefinition(step, optional=step == "survey") for step in STEPS))


def token(sub: str, *roles: str, expires_in: float = 600, **claims: Any) -> str:
    content = {"sub": sub, "roles": list(roles), "exp": int(time.time() + expires_in)} | claims
    return jwt.encode({"alg": "HS256"}, content, OctKey.import_key(SECRET))


def bearer(sub: str, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub, *roles)}"}


# Deleting audit entries leaves a trace, which is what they are for; between tests the log begins anew.
AUDIT_TABLES = ("audit_log", "audit_unsealed", "audit_chain")

TABLES = (
    "accepted_starts",
    "archived_workflows",
    "checkpoints",
    "idempotency_keys",
    "notifications",
    "outbox",
    "recovery_attempts",
    "recovery_requests",
    "step_attempts",
    "workflow_definitions",
    "workflow_instances",
)

SARAH = bearer("sarah")
TOM = bearer("tom")
SUPPORT = bearer("sue", "support")
ADMIN = bearer("ada", "admin")


async def eventually(condition: Callable[[], Awaitable[Any]], *, within: float = 10) -> Any:
    """The first true answer of `condition`."""
    async with asyncio.timeout(within):
        while True:
            answer = await condition()
            if answer:
                return answer
            await asyncio.sleep(0.02)


@dataclass
class Rows:
    """Writes what executor, recovery and notifier would have written."""

    pool: asyncpg.Pool

    async def definition(self, definition: WorkflowDefinition = ORDERS) -> None:
        await self.pool.execute(
            "INSERT INTO workflow_definitions (name, version, steps, fingerprint) VALUES ($1, $2, $3, $4)",
            definition.name,
            definition.version,
            orjson.dumps(to_document(definition)).decode(),
            fingerprint(definition),
        )

    async def workflow(self, **columns: Any) -> UUID:
        row: dict[str, Any] = {
            "id": uuid.uuid4(),
            "definition": "orders",
            "version": 2,
            "owner_id": "sarah",
            "status": "InProgress",
            "input": "{}",
            "content_hash": b"",
            "correlation_id": "c-1",
            "current_step": "reserve",
            "command_id": "m-1",
        }
        if columns.get("status") == "Failed":
            row |= {"failure_reason": "it broke", "failure_kind": "transient", "failed_at": EPOCH}
        row |= columns
        names = ", ".join(row)
        values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self.pool.execute(f"INSERT INTO workflow_instances ({names}) VALUES ({values})", *row.values())
        return UUID(str(row["id"]))

    async def checkpoint(
        self, workflow_id: UUID, seq: int, *, index: int, parent: int | None = None, **more: Any
    ) -> None:
        state = more.get("state", {"seq": seq})
        position = Position(workflow_id, seq, index, STEPS[index])
        await self.pool.execute(
            "INSERT INTO checkpoints (workflow_id, seq, parent_seq, step_index, step_id, attempt, skipped, state, "
            "checksum, executor, started_at, committed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            workflow_id,
            seq,
            parent,
            index,
            STEPS[index],
            more.get("attempt", 1),
            more.get("skipped", False),
            json.dumps(state),
            b"wrong" if more.get("damaged") else checksum(position, canonical(state)),
            "executor-1",
            EPOCH + timedelta(seconds=seq * 10),
            EPOCH + timedelta(seconds=seq * 10 + 1),
        )
        await self.pool.execute("UPDATE workflow_instances SET checkpoint_seq = $2 WHERE id = $1", workflow_id, seq)

    async def failed_attempt(self, workflow_id: UUID, attempt: int, *, at: datetime, reason: str = "it broke") -> None:
        await self.pool.execute(
            "INSERT INTO step_attempts (workflow_id, step_index, step_id, attempt, kind, error_class, reason, "
            "correlation_id, claim_token, executor, started_at, finished_at) "
            "VALUES ($1, 1, 'charge', $2, 'transient', 'TimeoutError', $3, 'c-1', $4, 'executor-1', $5, $5)",
            workflow_id,
            attempt,
            reason,
            uuid.uuid4(),
            at,
        )

    async def event(self, workflow_id: UUID, feed: str, seq: int, *, kind: str, event_id: str) -> None:
        await self.pool.execute(
            "INSERT INTO notifications (feed, seq, event_id, type, workflow_id, data, occurred_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            feed,
            seq,
            event_id,
            kind,
            workflow_id,
            '{"reason": "it broke"}',
            EPOCH + timedelta(seconds=seq),
        )

    async def audit(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("SELECT * FROM audit_log ORDER BY id")]


Script = Callable[[dict[str, Any]], dict[str, Any] | None]
"""From a command to what differs from a plain "resumed"; None: no answer is given."""


@dataclass
class ScriptedRecovery:
    """Consumes recovery commands and writes the outcome that the test has set."""

    pool: asyncpg.Pool
    script: Script = field(default=lambda _command: {})
    commands: list[dict[str, Any]] = field(default_factory=list)
    rings: bool = True

    async def consume(self, connection: aio_pika.abc.AbstractConnection) -> None:
        channel = await connection.channel()
        queue = await channel.get_queue("recovery.commands")
        await queue.consume(self._on_command)

    async def _on_command(self, message: AbstractIncomingMessage) -> None:
        command = orjson.loads(message.body) | {"type": message.type, "correlationId": message.correlation_id}
        self.commands.append(command)
        answer = self.script(command)
        if answer is not None:
            await self.answer(str(message.message_id), command, **answer)
        await message.ack()

    async def answer(self, recovery_id: str, command: dict[str, Any], **columns: Any) -> None:
        row = {
            "id": recovery_id,
            "workflow_id": UUID(command["workflowId"]),
            "kind": "recover",
            "actor": command["actor"],
            "outcome": "resumed",
            "correlation_id": command["correlationId"],
            "status": "InProgress",
        } | columns
        names = ", ".join(row)
        values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"INSERT INTO recovery_attempts ({names}) VALUES ({values}) ON CONFLICT DO NOTHING", *row.values()
            )
            if self.rings:
                await connection.execute("SELECT pg_notify('ratchet_recoveries', $1)", recovery_id)
