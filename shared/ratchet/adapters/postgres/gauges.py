"""Figures for the dashboards that only the database knows."""

from dataclasses import dataclass

import asyncpg

_READ = """
SELECT
    (SELECT count(*) FROM workflow_instances WHERE status = 'Failed' AND requires_manual_intervention)
        AS needing_attention,
    (SELECT count(*) FROM workflow_instances WHERE unserved_since IS NOT NULL) AS unserved,
    (SELECT count(*) FROM outbox) AS outbox,
    (SELECT count(*) FROM recovery_watches) AS watched,
    (SELECT count(*) FROM parked_messages WHERE resolution IS NULL) AS parked,
    coalesce(extract(epoch FROM clock_timestamp() - (SELECT min(created_at) FROM outbox)), 0)::float8
        AS outbox_seconds,
    coalesce(extract(epoch FROM clock_timestamp()
        - (SELECT min(parked_at) FROM parked_messages WHERE resolution IS NULL)), 0)::float8 AS parked_seconds,
    coalesce(extract(epoch FROM clock_timestamp()
        - (SELECT a.at FROM audit_unsealed u JOIN audit_log a ON a.id = u.audit_id ORDER BY u.audit_id LIMIT 1)),
        0)::float8 AS unsealed_seconds
"""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Counts at one moment, and for how many seconds the oldest of each has waited (0 if none does).

    `outbox` waits to be published, `parked` for a person, `unsealed` audit entries for their place in the chain.
    """

    needing_attention: int
    unserved: int
    outbox: int
    watched: int
    parked: int
    outbox_seconds: float
    parked_seconds: float
    unsealed_seconds: float


async def read(pool: asyncpg.Pool) -> Gauges:
    """Count."""
    row = await pool.fetchrow(_READ)
    assert row is not None  # it only counts
    return Gauges(**row)
