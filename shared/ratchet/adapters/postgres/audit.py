"""The audit log: who did or tried what, when, why, and how it ended."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from ratchet.adapters.postgres.engine import Connection

_APPEND = """
INSERT INTO audit_log (workflow_id, actor, action, reason, before, after, outcome, correlation_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log; `before` and `after` are what changed."""

    actor: str
    action: str
    outcome: str
    correlation_id: str
    workflow_id: UUID | None = None
    reason: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


async def append(connection: Connection | asyncpg.Pool, entry: AuditEntry) -> None:
    """Write one entry, within the caller's transaction if there is one."""
    await connection.execute(
        _APPEND,
        entry.workflow_id,
        entry.actor,
        entry.action,
        entry.reason,
        _json(entry.before),
        _json(entry.after),
        entry.outcome,
        entry.correlation_id,
    )


class RefusalLog:
    """Attempts that were refused before anything else heard of them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def refused(
        self, *, actor: str, action: str, reason: str, correlation_id: str, workflow_id: UUID | None = None
    ) -> None:
        """Record that `actor` was not allowed to do `action`, and why not."""
        await append(
            self._pool,
            AuditEntry(
                actor=actor,
                action=action,
                outcome="refused",
                correlation_id=correlation_id,
                workflow_id=workflow_id,
                reason=reason,
            ),
        )


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
