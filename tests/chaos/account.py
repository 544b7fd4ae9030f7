"""The account after the faults: what the outside world was promised, against what tables, queues and feed hold."""

import asyncio
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from ratchet.adapters.postgres.audit_sealing import verify

from tests.chaos.field import VHOST, Field
from tests.chaos.outside import Ledger
from tests.chaos.under_fire import STEPS

QUIET_WITHIN = 90.0
LOOK_EVERY = 0.3

OPEN = """
SELECT (SELECT count(*) FROM workflow_instances WHERE status NOT IN ('Completed', 'Failed'))
     + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM audit_unsealed)
"""
WORKFLOWS = """
SELECT id, status::text, extract(epoch FROM finished_at - created_at)::float AS seconds FROM workflow_instances
"""
CHECKPOINTS = """
SELECT workflow_id, step_id, extract(epoch FROM committed_at)::float AS at FROM checkpoints ORDER BY workflow_id, seq
"""
RECOVERIES = "SELECT count(*) FROM recovery_attempts WHERE outcome = 'resumed'"


@dataclass(frozen=True, slots=True)
class Account:
    """`wrongs` names each broken promise with its count; there should be none."""

    wrongs: dict[str, int]
    accepted: int
    recovered: int
    repeated: int
    """Runs of a step beyond its first that no failure asked for: a process died, or lost its claim, in the middle."""
    reconnects: int
    p50: float
    p99: float
    quiet_after: float

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.wrongs


@dataclass(frozen=True, slots=True)
class Effect:
    """One run of a step, as the step itself wrote it down; `at` is when it began, in seconds since 1970."""

    workflow_id: UUID
    step: str
    key: str
    at: float

    @classmethod
    def of_line(cls, line: str) -> "Effect":
        """Read what `under_fire.act` wrote."""
        workflow_id, step, key, at = line.split()
        return cls(UUID(workflow_id), step, key, float(at))


@dataclass(frozen=True, slots=True)
class Tables:
    """What Postgres holds at the end: rows by column name, checkpoints in the order of their commits."""

    workflows: Sequence[Mapping[str, Any]]
    checkpoints: Sequence[Mapping[str, Any]]
    failures: int
    recovered: int
    unsent: int
    audit_flaws: int


def wait_until_quiet(place: Field, ledger: Ledger) -> float:
    """Wait until nothing moves and everything was told, or the time is over; how long it took, in seconds."""
    began = time.monotonic()
    while time.monotonic() - began < QUIET_WITHIN:
        if not ledger.untold and asyncio.run(_number(place, OPEN)) == 0 and not messages_left(place):
            break
        time.sleep(LOOK_EVERY)
    return time.monotonic() - began


def settle_up(place: Field, ledger: Ledger, *, all_accepted: bool, quiet_after: float) -> Account:
    """The account; call it when things are quiet."""
    tables = asyncio.run(_read(place))
    effects = [Effect.of_line(line) for line in place.effects.read_text().splitlines()]
    wrongs = broken_promises(ledger, tables, effects)
    wrongs |= {"not accepted in time": int(not all_accepted), "left in queues": sum(messages_left(place).values())}
    seconds = sorted(row["seconds"] for row in tables.workflows if row["seconds"] is not None) or [0.0]
    return Account(
        wrongs={what: count for what, count in wrongs.items() if count},
        accepted=len(ledger.accepted),
        recovered=tables.recovered,
        repeated=max(0, len(effects) - len(tables.checkpoints) - tables.failures),
        reconnects=ledger.reconnects,
        p50=statistics.median(seconds),
        p99=seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))],
        quiet_after=quiet_after,
    )


def broken_promises(ledger: Ledger, tables: Tables, effects: Sequence[Effect]) -> dict[str, int]:
    """Each promise with how often it was broken."""
    completed = {row["id"] for row in tables.workflows if row["status"] == "Completed"}
    in_order = (position == place for place, position in enumerate(ledger.positions, start=1))
    return {
        "lost": len(ledger.accepted - completed),
        "never asked for": len({row["id"] for row in tables.workflows} - ledger.accepted),
        "not each step once, in order": _uneven(tables, completed),
        "another idempotency key for the same step": _keys(effects),
        "run after its commit": _late(tables, effects),
        "end not told": ledger.untold,
        "end told twice": sum(times > 1 for times in ledger.told.values()),
        "gaps or disorder in the feed": sum(not fits for fits in in_order),
        "left in the outbox": tables.unsent,
        "flaws in the audit log": tables.audit_flaws,
    }


def messages_left(place: Field) -> dict[str, int]:
    """Queues of Ratchet's that hold messages, delivered or not, with how many; dead letters and parked ones too."""
    lines = place.control_broker("list_queues", "-p", VHOST, "--no-table-headers", "name", "messages").splitlines()
    counts = {name: int(count) for name, count in (line.split("\t") for line in lines if "\t" in line)}
    return {name: count for name, count in counts.items() if count}


def _uneven(tables: Tables, completed: set[UUID]) -> int:
    steps = defaultdict[UUID, list[str]](list)
    for row in tables.checkpoints:
        steps[row["workflow_id"]].append(row["step_id"])
    return sum(steps[workflow_id] != list(STEPS) for workflow_id in completed)


def _keys(effects: Sequence[Effect]) -> int:
    keys = defaultdict[tuple[UUID, str], set[str]](set)
    for effect in effects:
        keys[effect.workflow_id, effect.step].add(effect.key)
    return sum(len(found) > 1 for found in keys.values())


def _late(tables: Tables, effects: Sequence[Effect]) -> int:
    committed = {(row["workflow_id"], row["step_id"]): row["at"] for row in tables.checkpoints}
    return sum(effect.at > committed.get((effect.workflow_id, effect.step), math.inf) for effect in effects)


async def _read(place: Field) -> Tables:
    async with asyncpg.create_pool(place.direct.database_url, min_size=1, max_size=2) as pool:
        return Tables(
            workflows=[dict(row) for row in await pool.fetch(WORKFLOWS)],
            checkpoints=[dict(row) for row in await pool.fetch(CHECKPOINTS)],
            failures=await pool.fetchval("SELECT count(*) FROM step_attempts"),
            recovered=await pool.fetchval(RECOVERIES),
            unsent=await pool.fetchval("SELECT count(*) FROM outbox"),
            audit_flaws=len((await verify(pool)).findings),
        )


async def _number(place: Field, query: str) -> int:
    connection = await asyncpg.connect(place.direct.database_url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
