"""The definitions that executors registered, for services that run without the workflows' code."""

from collections.abc import Sequence

import asyncpg
import orjson

from ratchet.adapters.postgres.engine import Connection
from ratchet.domain.definition import WorkflowDefinition, fingerprint, from_document, to_document

_REGISTER = """
INSERT INTO workflow_definitions (name, version, steps, fingerprint, recovers_automatically)
SELECT * FROM unnest($1::text[], $2::int[], $3::jsonb[], $4::text[], $5::boolean[])
ON CONFLICT (name, version) DO UPDATE
    SET steps = excluded.steps, fingerprint = excluded.fingerprint,
        recovers_automatically = excluded.recovers_automatically, registered_at = clock_timestamp()
    WHERE (workflow_definitions.steps, workflow_definitions.recovers_automatically)
        IS DISTINCT FROM (excluded.steps, excluded.recovers_automatically)
"""

_FINGERPRINTS = """
SELECT name, version, fingerprint FROM workflow_definitions WHERE (name, version) IN
    (SELECT * FROM unnest($1::text[], $2::int[]))
"""

_FIND_ALL = "SELECT name, version, steps, recovers_automatically FROM workflow_definitions ORDER BY name, version"

_POOLS = """
SELECT DISTINCT step ->> 'pool' AS pool FROM workflow_definitions d, jsonb_array_elements(d.steps) AS step
"""

_FIND = "SELECT steps, recovers_automatically FROM workflow_definitions WHERE name = $1 AND version = $2"


async def register(pool: asyncpg.Pool, definitions: Sequence[WorkflowDefinition]) -> list[str]:
    """Store the definitions; safe to repeat. Returns the names of those whose steps were other ones before."""
    names, versions = [item.name for item in definitions], [item.version for item in definitions]
    async with pool.acquire() as connection, connection.transaction():
        before = {
            (row["name"], row["version"]): row["fingerprint"]
            for row in await connection.fetch(_FINGERPRINTS, names, versions)
        }
        await connection.execute(
            _REGISTER,
            names,
            versions,
            [orjson.dumps(to_document(item)).decode() for item in definitions],
            [fingerprint(item) for item in definitions],
            [item.recovers_automatically for item in definitions],
        )
    return [
        f"{item.name} v{item.version}"
        for item in definitions
        if before.get((item.name, item.version), fingerprint(item)) != fingerprint(item)
    ]


async def find(connection: Connection | asyncpg.Pool, name: str, version: int) -> WorkflowDefinition | None:
    """One definition, or None when no executor ever registered it."""
    row = await connection.fetchrow(_FIND, name, version)
    if row is None:
        return None
    return from_document(name, version, orjson.loads(row["steps"]), automatic=row["recovers_automatically"])


async def find_all(connection: Connection | asyncpg.Pool) -> list[WorkflowDefinition]:
    """Every definition that an executor ever registered, all versions."""
    rows = await connection.fetch(_FIND_ALL)
    return [
        from_document(row["name"], row["version"], orjson.loads(row["steps"]), automatic=row["recovers_automatically"])
        for row in rows
    ]


async def pools(connection: Connection | asyncpg.Pool) -> set[str]:
    """Every pool that a step of any registered definition runs in."""
    return {row["pool"] for row in await connection.fetch(_POOLS)}
