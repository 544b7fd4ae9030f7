"""Figures for the dashboards that only the database knows."""

from dataclasses import dataclass

import asyncpg

_READ = """
SELECT
    (SELECT count(*) FROM workflow_instances WHERE status = 'Failed' AND requires_manual_intervention) AS attention,
    (SELECT count(*) FROM outbox) AS outbox,
    (SELECT count(*) FROM recovery_watches) AS watched,
    (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM outbox) AS outbox_seconds
"""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Counts at one moment, and for how many seconds the oldest message has waited to be published (0 if none does)."""

    needing_attention: int
    outbox: int
    outbox_seconds: float
    watched: int = 0


async def read(pool: asyncpg.Pool) -> Gauges:
    """Count."""
    row = await pool.fetchrow(_READ)
    return (
        Gauges(0, 0, 0.0)
        if row is None
        else Gauges(row["attention"], row["outbox"], row["outbox_seconds"] or 0.0, row["watched"])
    )
