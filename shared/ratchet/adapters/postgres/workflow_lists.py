"""Lists of workflows, page by page: everybody's or one owner's, and the failed ones with all their filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Interval,
    Select,
    Uuid,
    and_,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from ratchet.adapters.postgres.recovery_tables import archived_failures
from ratchet.adapters.postgres.tables import INSTANT, accepted_starts, workflow_instances
from ratchet.adapters.postgres.workflow_views import WorkflowView
from ratchet.domain.workflow import WorkflowStatus
from ratchet.failed_filter import FailedFilter

Edge = tuple[datetime, UUID]
"""Time and id of the last row of a page: the next page begins behind it."""

_W = workflow_instances.c
_A = accepted_starts.c

_F = archived_failures.c

_Columns: TypeAlias = ReadOnlyColumnCollection[str, Column[Any]]


def _view_of(columns: _Columns) -> list[ColumnElement[Any]]:
    return [
        columns.id.label("workflow_id") if name == "workflow_id" else columns[name] for name in WorkflowView.__slots__
    ]


_COLUMNS = _view_of(_W)

# A literal rather than a parameter: only so can the planner prove that the index of failed rows applies.
IS_FAILED: ColumnElement[bool] = _W.status == literal_column("'Failed'::workflow_status")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which workflows a list shows; nothing given means all."""

    owner: str | None
    definition: str | None
    statuses: tuple[WorkflowStatus, ...]


class WorkflowLists:
    """Pages of workflows; each page costs the same, however far down it lies."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(
        self,
        *,
        owner: str | None,
        definition: str | None,
        statuses: Sequence[WorkflowStatus],
        after: Edge | None,
        limit: int,
    ) -> tuple[list[WorkflowView], Edge | None]:
        """Workflows, newest first, and where the next page begins (None: this is the last)."""
        wanted = _Wanted(owner, definition, tuple(statuses))
        async with self._engine.connect() as connection:
            # Promised ones first: one that begins between the two questions is then seen twice rather than not at all.
            promised = []
            if not wanted.statuses or WorkflowStatus.NOT_STARTED in wanted.statuses:
                rows = await connection.execute(_promised(wanted, after).limit(limit + 1))
                promised = [WorkflowView.accepted(row) for row in rows.mappings()]
            rows = await connection.execute(_begun(wanted, after).limit(limit + 1))
            begun = [WorkflowView(**row) for row in rows.mappings()]
        views = {view.workflow_id: view for view in promised + begun}
        ordered = sorted(views.values(), key=lambda view: (view.created_at, view.workflow_id), reverse=True)
        page = ordered[:limit]
        return page, (page[-1].created_at, page[-1].workflow_id) if len(ordered) > limit else None

    async def failed(
        self,
        wanted: FailedFilter,
        *,
        after: Edge | None,
        limit: int,
        newest_first: bool = False,
        archived: bool = False,
    ) -> tuple[list[WorkflowView], Edge | None]:
        """Failed workflows, live or archived, by the time of their failure, and where the next page begins."""
        of = _F if archived else _W
        query = select(*_view_of(of)).where(*([] if archived else [IS_FAILED]), *_matches(wanted, of))
        place = tuple_(of.failed_at, of.id)
        if newest_first:
            query = query.order_by(of.failed_at.desc(), of.id.desc())
            query = query if after is None else query.where(place < _edge(after))
        else:
            query = query.order_by(of.failed_at, of.id)
            query = query if after is None else query.where(place > _edge(after))
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.limit(limit + 1))
            views = [WorkflowView(**row) for row in rows.mappings()]
        page = views[:limit]
        if len(views) <= limit or page[-1].failed_at is None:
            return page, None
        return page, (page[-1].failed_at, page[-1].workflow_id)


def failed_conditions(wanted: FailedFilter) -> list[ColumnElement[bool]]:
    """The filter as conditions on `workflow_instances`, for the list and for whoever acts on all that match."""
    return [IS_FAILED, *_matches(wanted, _W)]


def _matches(wanted: FailedFilter, of: _Columns) -> list[ColumnElement[bool]]:
    conditions = list[ColumnElement[bool]]()
    if wanted.definition is not None:
        conditions.append(of.definition == wanted.definition)
    if wanted.step is not None:
        conditions.append(of.current_step == wanted.step)
    if wanted.owner is not None:
        conditions.append(of.owner_id == wanted.owner)
    if wanted.kind is not None:
        conditions.append(of.failure_kind == wanted.kind.value)
    if wanted.older_than is not None:
        conditions.append(of.failed_at < func.now() - literal(wanted.older_than, Interval))
    if wanted.group is not None:
        conditions.append(of.failure_fingerprint == wanted.group)
    if wanted.text is not None:
        # Not LIKE: a percent sign in the text is a percent sign.
        conditions.append(func.strpos(func.lower(of.failure_reason), func.lower(wanted.text)) > 0)
    return conditions


def _begun(wanted: _Wanted, after: Edge | None) -> Select[Any]:
    query = select(*_COLUMNS).order_by(_W.created_at.desc(), _W.id.desc())
    if wanted.owner is not None:
        query = query.where(_W.owner_id == wanted.owner)
    if wanted.definition is not None:
        query = query.where(_W.definition == wanted.definition)
    if wanted.statuses:
        query = query.where(_has_status(wanted.statuses))
    return query if after is None else query.where(tuple_(_W.created_at, _W.id) < _edge(after))


# Statuses that few workflows have at a time, by the partial index that finds them.
_INDEXED = (
    frozenset({WorkflowStatus.EXECUTING}),
    frozenset({WorkflowStatus.NOT_STARTED, WorkflowStatus.IN_PROGRESS}),
    frozenset({WorkflowStatus.PAUSED}),
    frozenset({WorkflowStatus.FAILED}),
)


def _has_status(statuses: Sequence[WorkflowStatus]) -> ColumnElement[bool]:
    """One alternative for each partial index, in literals: only so does the planner see that it may use them."""
    wanted = frozenset(statuses)
    families = [wanted & family for family in _INDEXED if wanted & family]
    rest = wanted.difference(*_INDEXED)
    return or_(
        *(_W.status.in_([_label(status) for status in sorted(family)]) for family in [*families, rest] if family)
    )


def _label(status: WorkflowStatus) -> ColumnElement[Any]:
    return literal_column(f"'{status.value}'::workflow_status")


def _promised(wanted: _Wanted, after: Edge | None) -> Select[Any]:
    begun = exists().where(and_(_W.id == _A.workflow_id))
    query = select(accepted_starts).where(~begun).order_by(_A.accepted_at.desc(), _A.workflow_id.desc())
    if wanted.owner is not None:
        query = query.where(_A.owner_id == wanted.owner)
    if wanted.definition is not None:
        query = query.where(_A.definition == wanted.definition)
    return query if after is None else query.where(tuple_(_A.accepted_at, _A.workflow_id) < _edge(after))


def _edge(after: Edge) -> Any:
    return tuple_(literal(after[0], INSTANT), literal(after[1], Uuid))
