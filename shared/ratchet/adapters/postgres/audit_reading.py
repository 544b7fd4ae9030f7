"""The audit log for people: page by page, newest first, with filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ratchet.adapters.postgres.tables import audit_log
from ratchet.recovery_ports import AuditFilter

_A = audit_log.c


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry."""

    id: int
    at: datetime
    workflow_id: UUID | None
    actor: str
    action: str
    reason: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    outcome: str
    correlation_id: str


class AuditLog:
    """Questions about the audit log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, wanted: AuditFilter, *, before: int | None, limit: int) -> tuple[list[AuditLine], int | None]:
        """Entries below the id `before`, newest first, and where the next page begins."""
        query = select(audit_log).order_by(_A.id.desc())
        if before is not None:
            query = query.where(_A.id < before)
        for column, value in (
            (_A.workflow_id, wanted.workflow_id),
            (_A.actor, wanted.actor),
            (_A.action, wanted.action),
            (_A.outcome, wanted.outcome),
        ):
            query = query if value is None else query.where(column == value)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.limit(limit + 1))).mappings().all()
        page = [AuditLine(**row) for row in rows[:limit]]
        return page, page[-1].id if len(rows) > limit else None
