"""Recoveries as the admin API sees them: what was asked for, what came of it, and a bell when it does."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from ratchet.adapters.postgres import outbox
from ratchet.adapters.postgres.audit import AuditEntry, append
from ratchet.adapters.postgres.connecting import connect
from ratchet.adapters.postgres.recovery_records import CHANNEL
from ratchet.domain.recovery import Problem, RecoveryKind, RecoveryOutcome
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.envelope import Outgoing

RECONNECT_SECONDS = 0.5
LOOK_SECONDS = 5.0

log = structlog.get_logger()

_REQUEST = """
INSERT INTO recovery_requests (id, workflow_id, kind, actor, reason, correlation_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING RETURNING id
"""

_COLUMNS = """
id, workflow_id, kind, actor, reason, outcome, problem, detail, status, resumed_from, resumed_step, checkpoint_seq,
damaged_checkpoints, attempted_at
"""

_OUTCOME = f"SELECT {_COLUMNS} FROM recovery_attempts WHERE id = $1"  # constants only

_REQUESTED = "SELECT id, workflow_id, kind, actor, reason, requested_at AS at FROM recovery_requests WHERE id = $1"

_UNANSWERED = """
SELECT id, workflow_id, kind, actor, reason, requested_at AS at FROM recovery_requests r
WHERE workflow_id = $1 AND NOT EXISTS (SELECT FROM recovery_attempts a WHERE a.id = r.id)
ORDER BY requested_at, id
"""

REQUESTED = "requested"
"""The audit's outcome of what was accepted and is not carried out yet; a second entry says what came of it."""


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """What came of a recovery."""

    id: str
    workflow_id: UUID
    kind: str
    actor: str
    reason: str | None
    outcome: RecoveryOutcome
    problem: Problem | None
    detail: str | None
    status: WorkflowStatus | None
    resumed_from: datetime | None
    resumed_step: str | None
    checkpoint_seq: int | None
    damaged_checkpoints: tuple[int, ...]
    attempted_at: datetime


@dataclass(frozen=True, slots=True)
class FoundRecovery:
    """A recovery that happened or was asked for; `row` is None while nothing has come of it."""

    id: str
    workflow_id: UUID
    kind: str
    actor: str
    reason: str | None
    at: datetime
    row: RecoveryRow | None = None


class RecoveryLedger:
    """Requests in, outcomes out."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def request(
        self,
        recovery_id: UUID,
        workflow_id: UUID,
        *,
        kind: RecoveryKind,
        actor: str,
        reason: str | None,
        command: Outgoing,
    ) -> Sequence[int]:
        """Keep that it was asked for, with an audit entry and the command in the outbox, whose rows are answered.

        Safe to repeat: the second time nothing is written.
        """
        correlation_id = command.correlation_id
        asked = (str(recovery_id), workflow_id, kind.value, actor, reason, correlation_id)
        entry = AuditEntry(
            actor=actor,
            action=kind.value,
            outcome=REQUESTED,
            correlation_id=correlation_id,
            workflow_id=workflow_id,
            reason=reason,
        )
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_REQUEST, *asked) is None:
                return ()
            await append(connection, entry)
            return await outbox.add(connection, [command])

    async def published(self, outbox_ids: Sequence[int]) -> None:
        """The command was confirmed: its outbox rows can go."""
        await outbox.mark_published(self._pool, outbox_ids)

    async def unanswered(self, workflow_id: UUID) -> list[FoundRecovery]:
        """What was asked for about a workflow and nothing has come of yet, oldest first."""
        return [FoundRecovery(**row) for row in await self._pool.fetch(_UNANSWERED, workflow_id)]

    async def outcome(self, recovery_id: str) -> RecoveryRow | None:
        """What came of it; None while nothing has."""
        row = await self._pool.fetchrow(_OUTCOME, recovery_id)
        return None if row is None else recovery_row(row)

    async def find(self, recovery_id: str) -> FoundRecovery | None:
        """A recovery by its id, whether or not something has come of it."""
        row = await self.outcome(recovery_id)
        if row is not None:
            return FoundRecovery(row.id, row.workflow_id, row.kind, row.actor, row.reason, row.attempted_at, row)
        asked = await self._pool.fetchrow(_REQUESTED, recovery_id)
        return None if asked is None else FoundRecovery(**asked)


def recovery_row(row: asyncpg.Record) -> RecoveryRow:
    """A database row with its words turned into the core's."""
    fields = dict(row)
    fields["outcome"] = RecoveryOutcome(row["outcome"])
    fields["problem"] = None if row["problem"] is None else Problem(row["problem"])
    fields["status"] = None if row["status"] is None else WorkflowStatus(row["status"])
    fields["damaged_checkpoints"] = tuple(row["damaged_checkpoints"])
    return RecoveryRow(**fields)


class RecoveryBell:
    """Listens on a connection of its own, which comes back by itself. A ring may be lost: look at the row as well."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def ringing(self, recovery_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the recovery's outcome is there. Enter before asking for the recovery."""
        rung = asyncio.Event()
        self._waiting[recovery_id].add(rung)
        try:
            yield rung
        finally:
            self._waiting[recovery_id].discard(rung)
            if not self._waiting[recovery_id]:
                del self._waiting[recovery_id]

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # whatever it was, people wait for their outcomes
                log.warning("recovery_bell.lost", error=type(error).__name__, retry_in=RECONNECT_SECONDS)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await connect(self._url, application="ratchet-admin-api-bell", seconds=5, command_timeout=5)
        cut = asyncio.Event()
        connection.add_termination_listener(lambda _connection: cut.set())
        try:
            await connection.add_listener(CHANNEL, self._rang)
            while not cut.is_set():
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await cut.wait()
                except TimeoutError:
                    # A peer that vanished without a word is only noticed by talking to it.
                    await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _rang(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for rung in self._waiting.get(str(payload), ()):
            rung.set()
