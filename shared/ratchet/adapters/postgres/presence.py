"""Executors that are there: each says so every two seconds, on the database's clock, and what it can run."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import orjson

from ratchet.adapters.postgres.engine import Connection
from ratchet.domain.definition import WorkflowDefinition, from_document

LIVE_FOR = timedelta(seconds=10)
"""So long an executor counts after its last sign: five that were missed."""
FORGOTTEN_AFTER = timedelta(days=1)

IS_LIVE = f"e.left_at IS NULL AND e.seen_at > clock_timestamp() - interval '{LIVE_FOR.total_seconds()} seconds'"


def served(definition: str, version: str, pool: str) -> str:
    """The condition that somebody can run it now, for expressions of a statement.

    Where no executor ever said that it is there, they are all of a release that does not: then nobody can tell.
    """
    return f"""(NOT EXISTS (SELECT FROM executors) OR EXISTS (SELECT FROM executors e
        JOIN executor_definitions s USING (executor)
        WHERE s.definition = {definition} AND s.version = {version} AND {pool} = ANY (e.pools) AND {IS_LIVE}))"""


_ARRIVE = "INSERT INTO executors (executor, pools) VALUES ($1, $2) ON CONFLICT (executor) DO NOTHING"
_CAN_RUN = """
INSERT INTO executor_definitions (executor, definition, version) SELECT $1, * FROM unnest($2::text[], $3::int[])
ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM executors WHERE seen_at < clock_timestamp() - $1::interval"
_BEAT = "UPDATE executors SET seen_at = clock_timestamp(), is_unpacking = $2 WHERE executor = $1"
_LEAVE = "UPDATE executors SET left_at = clock_timestamp(), is_unpacking = false WHERE executor = $1"

NEWEST = f"""
SELECT d.name, coalesce(max(d.version) FILTER (WHERE EXISTS (SELECT FROM executors e
    JOIN executor_definitions s USING (executor)
    WHERE s.definition = d.name AND s.version = d.version AND {IS_LIVE})), max(d.version)) AS version
FROM workflow_definitions d
"""
"""The version that a start without one gets: the newest that is served, else the newest that was ever registered."""

_NEWEST_OF_ALL = f"{NEWEST} GROUP BY d.name"

_FIND = f"""
SELECT name, version, steps, recovers_automatically FROM workflow_definitions
WHERE name = $1 AND version = coalesce($2, (SELECT version FROM ({NEWEST} WHERE d.name = $1 GROUP BY d.name) AS n))
"""

_SERVED = f"SELECT {served('$1', '$2', '$3')}"

_SET_ASIDE = """
UPDATE workflow_instances SET unserved_since = clock_timestamp()
WHERE id = $1 AND command_id = $2 AND status IN ('NotStarted', 'InProgress') AND unserved_since IS NULL
"""


class PostgresPresence:
    """Fulfils `presence_ports.Presence`."""

    def __init__(self, pool: asyncpg.Pool, *, executor: str) -> None:
        self._pool = pool
        self._executor = executor

    async def arrive(self, definitions: Sequence[WorkflowDefinition], pools: Sequence[str]) -> None:
        """From now on this executor counts; those that are long gone are forgotten."""
        names, versions = [item.name for item in definitions], [item.version for item in definitions]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_ARRIVE, self._executor, list(pools))
            await connection.execute(_CAN_RUN, self._executor, names, versions)
            await connection.execute(_FORGET, FORGOTTEN_AFTER)

    async def beat(self, *, is_unpacking: bool) -> Mapping[str, int]:
        """Say that it is still there."""
        await self._pool.execute(_BEAT, self._executor, is_unpacking)
        return {row["name"]: row["version"] for row in await self._pool.fetch(_NEWEST_OF_ALL)}

    async def leave(self) -> None:
        """It takes nothing more."""
        await self._pool.execute(_LEAVE, self._executor)

    async def find(self, name: str, version: int | None) -> WorkflowDefinition | None:
        """A definition that any executor registered."""
        row = await self._pool.fetchrow(_FIND, name, version)
        if row is None:
            return None
        steps, automatic = orjson.loads(row["steps"]), row["recovers_automatically"]
        return from_document(row["name"], row["version"], steps, automatic=automatic)

    async def is_served(self, definition: str, version: int, pool: str) -> bool:
        """Whether an executor of this pool that has this definition is there."""
        return await is_served(self._pool, definition, version, pool)

    async def set_aside(self, workflow_id: UUID, command_id: str) -> None:
        """Nobody can run it."""
        await self._pool.execute(_SET_ASIDE, workflow_id, command_id)


async def is_served(connection: Connection | asyncpg.Pool, definition: str, version: int, pool: str) -> bool:
    """Whether an executor of this pool that has this definition is there."""
    return bool(await connection.fetchval(_SERVED, definition, version, pool))
