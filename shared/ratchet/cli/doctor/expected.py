"""Which queues there must be: for the pools and retry delays of the settings and of every registered workflow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from ratchet.adapters.postgres.connecting import connect
from ratchet.adapters.postgres.definitions import find_all
from ratchet.client.errors import NotConfigured
from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.retry import DEFAULT_RETRY
from ratchet.settings import parse_duration

CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Expected:
    """The pools and delays that queues are needed for."""

    pools: frozenset[str]
    delays: frozenset[timedelta]

    def joined(self, definitions: Iterable[WorkflowDefinition]) -> "Expected":
        """These, and what the definitions' own steps name."""
        steps = [step for definition in definitions for step in definition.steps]
        delays = {delay for step in steps for delay in step.delays}
        return Expected(self.pools | {step.pool for step in steps}, self.delays | delays)


def expected_of(environ: Mapping[str, str]) -> Expected:
    """What `RATCHET_POOLS` and `RATCHET_RETRY_DELAYS` say.

    Raises:
        NotConfigured: a delay is none.
    """
    pools = frozenset(pool.strip() for pool in environ.get("RATCHET_POOLS", "default").split(",") if pool.strip())
    text = environ.get("RATCHET_RETRY_DELAYS")
    if text is None:
        return Expected(pools, frozenset(DEFAULT_RETRY.delays))
    try:
        return Expected(pools, frozenset(parse_duration(part) for part in text.split(",") if part.strip()))
    except ValueError as error:
        raise NotConfigured(f"RATCHET_RETRY_DELAYS: {error}") from error


async def registered(database_url: str) -> list[WorkflowDefinition]:
    """The definitions that executors have registered; none while the database does not answer.

    That it does not answer is told by the look at Postgres itself.
    """
    try:
        connection = await connect(
            database_url, application="ratchet-doctor", seconds=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return []
    try:
        return await find_all(connection)
    except asyncpg.PostgresError:
        return []
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
