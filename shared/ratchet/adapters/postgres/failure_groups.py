"""Failed workflows grouped by what went wrong: alike are those of one step with one error class and message pattern."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Interval, Text, cast, func, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ratchet.adapters.postgres.tables import workflow_instances
from ratchet.adapters.postgres.workflow_lists import failed_conditions
from ratchet.failed_filter import FailedFilter

TREND_HOURS = 24

Edge = tuple[int, str]
"""Count and fingerprint of the last group of a page."""

_W = workflow_instances.c

# One case of each group says for all of them what they have in common.
_CASES = text(
    """
    SELECT f.fingerprint, c.id, c.definition, c.current_step, c.failure_class, failure_pattern(c.failure_reason)
    FROM unnest(cast(:fingerprints AS text[])) AS f(fingerprint)
    JOIN LATERAL (
        SELECT id, definition, current_step, failure_class, failure_reason FROM workflow_instances
        WHERE status = 'Failed' AND failure_fingerprint = f.fingerprint
        ORDER BY failed_at DESC LIMIT 1
    ) AS c ON true
    """
)


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """What its members have in common, how many there are, and how many came in each of the last 24 hours."""

    fingerprint: str
    definition: str
    step: str | None
    error_class: str | None
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    newest_workflow_id: UUID
    trend: tuple[int, ...]


class FailureGroups:
    """Questions about failures in bulk."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(
        self, wanted: FailedFilter, *, after: Edge | None, limit: int
    ) -> tuple[list[FailureGroup], Edge | None]:
        """Groups of the failed workflows that match, largest first, and where the next page begins."""
        count, fingerprint = func.count(), _W.failure_fingerprint
        query = (
            select(fingerprint, count, func.min(_W.failed_at), func.max(_W.failed_at))
            .where(*failed_conditions(wanted))
            .group_by(fingerprint)
            .order_by(count.desc(), fingerprint.desc())
            .limit(limit + 1)
        )
        if after is not None:
            edge = tuple_(literal(after[0], BigInteger), literal(after[1], Text))
            query = query.having(tuple_(count, fingerprint) < edge)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
            page = rows[:limit]
            fingerprints = [row[0] for row in page]
            cases = {row[0]: row[1:] for row in await connection.execute(_CASES, {"fingerprints": fingerprints})}
            trends = await _trends(connection, wanted, fingerprints)
        groups = [_group(row, cases[row[0]], trends.get(row[0], {})) for row in page if row[0] in cases]
        return groups, (page[-1][1], page[-1][0]) if len(rows) > limit else None

    async def total(self, wanted: FailedFilter) -> int:
        """How many failed workflows match, in all groups together."""
        async with self._engine.connect() as connection:
            query = select(func.count()).select_from(workflow_instances).where(*failed_conditions(wanted))
            return int(await connection.scalar(query) or 0)


async def _trends(
    connection: AsyncConnection, wanted: FailedFilter, fingerprints: Sequence[str]
) -> dict[str, dict[int, int]]:
    hours_ago = cast(func.floor(func.extract("epoch", func.now() - _W.failed_at) / 3600), Integer)
    window = literal(timedelta(hours=TREND_HOURS), Interval)
    query = (
        select(_W.failure_fingerprint, hours_ago, func.count())
        .where(*failed_conditions(wanted), _W.failure_fingerprint.in_(fingerprints), _W.failed_at > func.now() - window)
        .group_by(_W.failure_fingerprint, hours_ago)
    )
    trends: dict[str, dict[int, int]] = {}
    for fingerprint, hours, count in await connection.execute(query):
        trends.setdefault(fingerprint, {})[max(0, hours)] = count
    return trends


def _group(row: Any, case: Any, trend: dict[int, int]) -> FailureGroup:
    workflow_id, definition, step, error_class, message = case
    return FailureGroup(
        fingerprint=row[0],
        definition=definition,
        step=step,
        error_class=error_class,
        message=message,
        count=row[1],
        first_seen=row[2],
        last_seen=row[3],
        newest_workflow_id=workflow_id,
        trend=tuple(trend.get(hours, 0) for hours in reversed(range(TREND_HOURS))),
    )
