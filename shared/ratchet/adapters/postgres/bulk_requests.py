"""Bulk recoveries as the admin API sees them: asked for, looked at, cancelled."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Uuid, func, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ratchet.adapters.postgres.recovery_tables import bulk_recoveries, bulk_recovery_items
from ratchet.adapters.postgres.tables import INSTANT, audit_log, workflow_instances
from ratchet.adapters.postgres.workflow_lists import failed_conditions
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome, Progress
from ratchet.failed_filter import BulkOrder, SelectionChanged, UnknownGroup

ACTION = "bulk-recover"

Edge = tuple[datetime, UUID]

_B = bulk_recoveries.c
_I = bulk_recovery_items.c


@dataclass(frozen=True, slots=True)
class BulkView:
    """A bulk recovery as far as it has come."""

    id: UUID
    filter: Mapping[str, Any]
    actor: str
    reason: str
    canary: int
    rate: int | None
    total: int
    state: BulkState
    detail: str | None
    requested_at: datetime
    finished_at: datetime | None
    progress: Progress


@dataclass(frozen=True, slots=True)
class BulkItemView:
    """One workflow of the selection."""

    position: int
    workflow_id: UUID
    outcome: ItemOutcome
    recovery_id: str | None
    detail: str | None


class BulkRequests:
    """Bulk recoveries in, progress out; recovery does the work."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def freeze(self, bulk_id: UUID, order: BulkOrder) -> int:
        """Keep the request with its selection, oldest failure first; how many workflows it has.

        Safe to repeat: under the same id the selection that was frozen first stays.

        Raises:
            UnknownGroup: the filter names a group that there is not; nothing is kept.
            SelectionChanged: it is another number than was expected; nothing is kept.
        """
        async with self._engine.begin() as connection:
            known = await connection.scalar(select(_B.total).where(_B.id == bulk_id))
            if known is not None:
                return int(known)
            # Whoever asks a second time at the same moment waits here, and then finds the first one's row.
            made = await connection.execute(_request(bulk_id, order))
            if made.rowcount == 0:
                return int(await connection.scalar(select(_B.total).where(_B.id == bulk_id)) or 0)
            await _group_exists(connection, order.wanted.group)
            total = (await connection.execute(_selection(bulk_id, order))).rowcount
            if order.expected not in (None, total):
                raise SelectionChanged(total, order.expected)
            await connection.execute(update(bulk_recoveries).where(_B.id == bulk_id).values(total=total))
            after = {"bulkId": str(bulk_id), "total": total, "filter": order.selection()}
            entry = {"actor": order.actor, "reason": order.reason, "correlation_id": order.correlation_id}
            await _audit(connection, entry, outcome="requested", after=after)
            return total

    async def find(self, bulk_id: UUID) -> BulkView | None:
        """One of them."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(bulk_recoveries).where(_B.id == bulk_id))).mappings().first()
            return (
                None if row is None else _view(row, (await _progress(connection, [bulk_id])).get(bulk_id, Progress()))
            )

    async def newest(self, *, after: Edge | None, limit: int) -> tuple[list[BulkView], Edge | None]:
        """A page of them, newest first, and where the next one begins."""
        query = select(bulk_recoveries).order_by(_B.requested_at.desc(), _B.id.desc()).limit(limit + 1)
        if after is not None:
            place = tuple_(literal(after[0], INSTANT), literal(after[1], Uuid))
            query = query.where(tuple_(_B.requested_at, _B.id) < place)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
            counts = await _progress(connection, [row["id"] for row in rows[:limit]])
        views = [_view(row, counts.get(row["id"], Progress())) for row in rows[:limit]]
        return views, (views[-1].requested_at, views[-1].id) if len(rows) > limit else None

    async def items(
        self, bulk_id: UUID, *, outcome: str | None, after: int, limit: int
    ) -> tuple[list[BulkItemView], int | None]:
        """A page of the selection in its order, and the position that the next one begins behind."""
        columns = [_I.position, _I.workflow_id, _I.outcome, _I.recovery_id, _I.detail]
        query = select(*columns).where(_I.bulk_id == bulk_id, _I.position > after).order_by(_I.position)
        if outcome is not None:
            query = query.where(_I.outcome == outcome)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.limit(limit + 1))).mappings().all()
        page = [BulkItemView(**{**row, "outcome": ItemOutcome(row["outcome"])}) for row in rows[:limit]]
        return page, page[-1].position if len(rows) > limit else None

    async def cancel(self, bulk_id: UUID, *, actor: str, reason: str, correlation_id: str) -> bool:
        """End it before its time; False if it was over already. What was started goes on."""
        running = (_B.id == bulk_id, _B.state == BulkState.RUNNING.value)
        ended = {"state": BulkState.CANCELLED.value, "detail": reason, "finished_at": func.clock_timestamp()}
        async with self._engine.begin() as connection:
            ending = update(bulk_recoveries).where(*running).values(**ended).returning(_B.filter)
            was = (await connection.execute(ending)).first()
            if was is None:
                return False
            pending = (_I.bulk_id == bulk_id, _I.outcome == ItemOutcome.PENDING.value)
            skipped = {"outcome": ItemOutcome.SKIPPED.value, "detail": "The batch was cancelled first"}
            await connection.execute(update(bulk_recovery_items).where(*pending).values(**skipped))
            after = {"bulkId": str(bulk_id), "filter": was.filter}
            entry = {"actor": actor, "reason": reason, "correlation_id": correlation_id}
            await _audit(connection, entry, outcome="cancelled", after=after)
            return True


def _request(bulk_id: UUID, order: BulkOrder) -> Any:
    values = {
        "id": bulk_id,
        "filter": order.selection(),
        "actor": order.actor,
        "reason": order.reason,
        "canary": order.canary,
        "rate": order.rate,
        "total": 0,
        "correlation_id": order.correlation_id,
    }
    return upsert(bulk_recoveries).values(**values).on_conflict_do_nothing()


def _selection(bulk_id: UUID, order: BulkOrder) -> Any:
    workflow = workflow_instances.c
    if order.workflow_ids:
        # As they were given: what became of each is told, also of those that are not Failed.
        places = enumerate(dict.fromkeys(order.workflow_ids), 1)
        rows = [{"bulk_id": bulk_id, "position": place, "workflow_id": each} for place, each in places]
        return insert(bulk_recovery_items).values(rows)
    number = func.row_number().over(order_by=(workflow.failed_at, workflow.id))
    chosen = select(literal(bulk_id, Uuid), number, workflow.id).where(*failed_conditions(order.wanted))
    return insert(bulk_recovery_items).from_select(["bulk_id", "position", "workflow_id"], chosen)


async def _group_exists(connection: AsyncConnection, group: str | None) -> None:
    if group is None:
        return
    known = select(workflow_instances.c.id).where(workflow_instances.c.failure_fingerprint == group).limit(1)
    if await connection.scalar(known) is None:
        raise UnknownGroup(f"There is no failure group {group!r}")


async def _progress(connection: AsyncConnection, bulk_ids: list[UUID]) -> dict[UUID, Progress]:
    query = (
        select(_I.bulk_id, _I.outcome, func.count()).where(_I.bulk_id.in_(bulk_ids)).group_by(_I.bulk_id, _I.outcome)
    )
    counts: dict[UUID, dict[str, int]] = {}
    for bulk_id, outcome, items in await connection.execute(query):
        counts.setdefault(bulk_id, {})[outcome] = items
    return {bulk_id: Progress(**found) for bulk_id, found in counts.items()}


async def _audit(connection: AsyncConnection, entry: dict[str, str], *, outcome: str, after: dict[str, Any]) -> None:
    await connection.execute(insert(audit_log).values(action=ACTION, outcome=outcome, after=after, **entry))


def _view(row: RowMapping, progress: Progress) -> BulkView:
    fields = {name: row[name] for name in BulkView.__slots__ if name != "progress"}
    return BulkView(**{**fields, "state": BulkState(row["state"])}, progress=progress)
