"""Postgres: reachable, supported, migrated, and set to keep what it confirms."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from ratchet.adapters.postgres import sessions
from ratchet.adapters.postgres.connecting import connect
from ratchet.adapters.postgres.engine import server_settings
from ratchet.adapters.postgres.migrate import newest_revision
from ratchet.cli.doctor.findings import Finding, Level, version_finding
from ratchet.reaching import Server, reason_of

AREA = "Postgres"
LOWEST, HIGHEST = 15, 18
CONNECT_SECONDS = 5
MAX_SKEW = timedelta(seconds=5)


_FACTS = """
SELECT current_setting('server_version') AS version, clock_timestamp() AS now,
       to_regclass('alembic_version') IS NOT NULL AS migrated, current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('transaction_read_only') = 'on' AS read_only
"""


# A retry is a moment late when many are due, so only what recovery would have brought by now is overdue.
_STANDING = """
SELECT count(*) FILTER (WHERE next_attempt_at >= clock_timestamp()) AS due_later,
    count(*) FILTER (WHERE next_attempt_at < clock_timestamp() - interval '10 seconds') AS overdue,
    coalesce(clock_timestamp() - min(next_attempt_at) FILTER (
        WHERE next_attempt_at < clock_timestamp() - interval '10 seconds'), interval '0') AS overdue_by,
    (SELECT count(*) FROM workflow_instances WHERE unserved_since IS NOT NULL) AS unserved
FROM workflow_instances WHERE next_attempt_at IS NOT NULL AND status = 'InProgress'
"""


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """What was read from the server; `revision` is None where no migration has run."""

    version: str
    revision: str | None
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    skew: timedelta
    standing: "Standing | None" = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Workflows that do not go on just now: their retry is due later, or overdue, or no executor can run them."""

    due_later: int = 0
    overdue: int = 0
    overdue_by: timedelta = timedelta(0)
    unserved: int = 0


async def check_postgres(database_url: str) -> list[Finding]:
    """Connect and judge."""
    try:
        flaw = await _flaw_of_sessions(database_url)
        if flaw is not None:
            return [_sessions(flaw)]
        facts = await _read(database_url)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        found, advice = reason_of(Server.POSTGRES, error)
        return [Finding(AREA, "connection", Level.RED, found, advice)]
    return [Finding(AREA, "connection", Level.OK, "answers"), _sessions(None), *judge(facts, newest=newest_revision())]


def judge(facts: PostgresFacts, *, newest: str) -> list[Finding]:
    """What the facts mean."""
    return [
        version_finding(
            AREA, facts.version, lowest=LOWEST, highest=HIGHEST, advice=f"Use Postgres {LOWEST} to {HIGHEST}"
        ),
        _migrations(facts.revision, newest),
        _durability(facts),
        _writes(facts.read_only),
        _clock(facts.skew),
        *([] if facts.standing is None else _standing(facts.standing)),
    ]


def _sessions(flaw: str | None) -> Finding:
    if flaw is not None:
        return Finding(AREA, "sessions", Level.RED, flaw, sessions.ADVICE)
    return Finding(AREA, "sessions", Level.OK, "each connection has its own")


def _migrations(revision: str | None, newest: str) -> Finding:
    command = "python -m ratchet.adapters.postgres.migrate"
    if revision == newest:
        return Finding(AREA, "migrations", Level.OK, f"at {revision}, the newest")
    if revision is None:
        return Finding(AREA, "migrations", Level.RED, "the database is empty", f"Run {command} (`make up` does it)")
    if revision > newest:
        found = f"at {revision}, newer than this program ({newest})"
        return Finding(AREA, "migrations", Level.RED, found, "Bring this installation of Ratchet up to date")
    return Finding(
        AREA, "migrations", Level.RED, f"at {revision}, not at {newest}", f"Run {command} (`make up` does it)"
    )


def _durability(facts: PostgresFacts) -> Finding:
    settings = {
        "fsync": facts.fsync,
        "full_page_writes": facts.full_page_writes,
        "synchronous_commit": facts.synchronous_commit,
    }
    off = [name for name, value in settings.items() if value == "off"]
    if off:
        found = f"{', '.join(off)} off: a crash of the server can lose committed steps"
        return Finding(AREA, "durability", Level.WARNING, found, "Switch on what is off in postgresql.conf")
    return Finding(AREA, "durability", Level.OK, "what is committed is kept")


def _writes(read_only: bool) -> Finding:  # noqa: FBT001  # a fact, as it was read
    if read_only:
        found = "it takes no writes: a standby, or default_transaction_read_only is on"
        return Finding(
            AREA, "writes", Level.RED, found, "Name the primary; with several hosts, target_session_attrs=read-write"
        )
    return Finding(AREA, "writes", Level.OK, "it takes writes")


def _clock(skew: timedelta) -> Finding:
    if abs(skew) > MAX_SKEW:
        found = f"differs from this machine's by {abs(skew).total_seconds():.0f} s"
        return Finding(AREA, "clock", Level.WARNING, found, "Synchronise the clocks: tokens are checked against them")
    return Finding(AREA, "clock", Level.OK, "agrees with this machine's")


def _standing(standing: Standing) -> list[Finding]:
    """What the delay queues cannot say: what the broker keeps back for a missing target is in no depth of theirs."""
    found = f"{standing.due_later} due later"
    retries = Finding(AREA, "retries", Level.OK, found)
    if standing.overdue:
        found += f", {standing.overdue} overdue, the latest by {standing.overdue_by.total_seconds():.0f} s"
        advice = "They wait in line, or recovery brings them; if neither, see that it runs"
        retries = Finding(AREA, "retries", Level.WARNING, found, advice)
    if not standing.unserved:
        return [retries]
    found = f"{standing.unserved} workflows that no executor can run now"
    advice = "See which code and pool they need: ratchet overview"
    return [retries, Finding(AREA, "workflows", Level.WARNING, found, advice)]


async def _flaw_of_sessions(database_url: str) -> str | None:
    """Connects as a service does, twice."""
    opened: list[asyncpg.Connection] = []

    async def another() -> asyncpg.Connection:
        connection = await connect(
            database_url,
            application="ratchet-doctor",
            settings=server_settings("doctor"),
            seconds=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
        )
        opened.append(connection)
        return connection

    try:
        return await sessions.flaw_of(await another(), await another())
    except asyncpg.PostgresError as error:
        flaw = sessions.refusal_of(error)
        if flaw is None:
            raise
        return flaw
    finally:
        for connection in opened:
            connection.terminate()


async def _read(database_url: str) -> PostgresFacts:
    connection = await connect(
        database_url, application="ratchet-doctor", seconds=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS
    )
    try:
        (row,) = await connection.fetch(_FACTS)
        revision = await connection.fetchval("SELECT version_num FROM alembic_version") if row["migrated"] else None
        standing = await _read_standing(connection) if revision == newest_revision() else None
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
    return PostgresFacts(
        version=row["version"].split()[0],
        revision=revision,
        fsync=row["fsync"],
        full_page_writes=row["full_page_writes"],
        synchronous_commit=row["synchronous_commit"],
        read_only=row["read_only"],
        skew=row["now"] - datetime.now(UTC),
        standing=standing,
    )


async def _read_standing(connection: asyncpg.Connection) -> Standing | None:
    try:
        (row,) = await connection.fetch(_STANDING)
    except asyncpg.PostgresError:  # a user that may not read workflows learns the rest all the same
        return None
    return Standing(**row)
