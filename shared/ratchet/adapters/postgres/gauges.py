"""Figures for the dashboards that only the database knows."""

from dataclasses import dataclass

import asyncpg

_READ = """
SELECT
    attention.*,
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
FROM (
    SELECT count(*) AS needing_attention,
        count(*) FILTER (WHERE failed_at > clock_timestamp() - interval '1 hour') AS needing_attention_new,
        coalesce(extract(epoch FROM clock_timestamp() - min(failed_at)), 0)::float8 AS attention_seconds
    FROM workflow_instances WHERE status = 'Failed' AND requires_manual_intervention
) attention
"""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Counts at one moment, and for how many seconds the oldest of each has waited (0 if none does).

    `needing_attention_new` failed within the last hour; `attention_seconds` ago failed the first that needs a person.
    `outbox` waits to be published, `parked` for a person, `unsealed` audit entries for their place in the chain.
    """

    needing_attention: int
    needing_attention_new: int
    attention_seconds: float
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
