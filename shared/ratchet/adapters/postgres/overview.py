"""How the whole platform stands, counted in the database."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ratchet.adapters.postgres.recovery_store import POOL_OF

# What nobody has answered for a day is looked for on its workflow's page.
_UNANSWERED = """recovery_requests r WHERE requested_at > clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT FROM recovery_attempts a WHERE a.id = r.id)"""

# Each count runs over a partial index, so it costs as much as there is trouble, however many workflows there are.
_COUNTS = f"""
SELECT
    (SELECT count(*) FROM workflow_instances WHERE status = 'Failed') AS failed,
    (SELECT count(*) FROM workflow_instances WHERE status = 'Executing') AS executing,
    count(*) AS in_progress,
    count(*) FILTER (WHERE next_attempt_at > clock_timestamp()) AS waiting_for_retry,
    count(*) FILTER (WHERE waiting_for IS NOT NULL) AS waiting_for_command,
    count(*) FILTER (WHERE status = 'InProgress' AND next_attempt_at < clock_timestamp() - interval '1 second')
        AS waiting_in_line,
    (SELECT count(*) FROM workflow_instances WHERE unserved_since IS NOT NULL) AS without_executor,
    (SELECT count(*) FROM outbox) AS outbox,
    (SELECT min(created_at) FROM outbox) AS oldest_message_at,
    (SELECT count(*) FROM parked_messages WHERE resolution IS NULL) AS parked,
    (SELECT count(*) FROM {_UNANSWERED}) AS requests_waiting,
    (SELECT min(requested_at) FROM {_UNANSWERED}) AS oldest_request_at,
    (SELECT scanned_at FROM scan_state) AS scanned_at,
    clock_timestamp() AS now,
    (SELECT count(DISTINCT claimed_by) FROM workflow_instances
        WHERE status = 'Executing' AND lease_until > clock_timestamp()) AS executors_at_work
FROM workflow_instances WHERE status IN ('NotStarted', 'InProgress')
"""

_UNSERVED = f"""
SELECT w.definition, w.version, {POOL_OF} AS pool, count(*) AS workflows, min(w.unserved_since) AS since
FROM workflow_instances w WHERE w.unserved_since IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 20
"""

_NAMED = """
SELECT DISTINCT step ->> 'pool' AS pool, step ->> 'dependsOn' AS dependency
FROM workflow_definitions, jsonb_array_elements(steps) AS step
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers at one moment."""

    failed: int
    executing: int
    in_progress: int
    waiting_for_retry: int
    waiting_for_command: int
    outbox: int
    oldest_message_at: datetime | None
    parked: int
    requests_waiting: int
    oldest_request_at: datetime | None
    scanned_at: datetime | None
    now: datetime
    executors_at_work: int
    waiting_in_line: int = 0
    without_executor: int = 0


@dataclass(frozen=True, slots=True)
class Unserved:
    """Workflows at a step that no executor can run now."""

    definition: str
    version: int
    pool: str
    workflows: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Named:
    """Pools and dependencies that any registered step belongs to, each sorted."""

    pools: list[str]
    dependencies: list[str]


class OverviewReader:
    """Questions about everything at once."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def counts(self) -> Counts:
        """Count."""
        row = await self._pool.fetchrow(_COUNTS)
        if row is None:
            raise LookupError("a count always has an answer")
        return Counts(**row)

    async def unserved(self) -> list[Unserved]:
        """What the workflows need that nobody can run."""
        return [Unserved(**row) for row in await self._pool.fetch(_UNSERVED)]

    async def named(self) -> Named:
        """What the registered steps name."""
        rows = await self._pool.fetch(_NAMED)
        dependencies = {row["dependency"] for row in rows if row["dependency"] is not None}
        return Named(sorted({row["pool"] for row in rows}), sorted(dependencies))
