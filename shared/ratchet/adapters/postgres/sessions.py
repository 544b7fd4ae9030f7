"""Has each connection a session of its own? Behind a pooler in transaction mode it has not.

There, prepared statements, settings and advisory locks belong to whoever comes next, and statements fail one by one, at
random. Nothing but asking finds out before work is done.
"""

import asyncio

import asyncpg

from ratchet.domain.errors import InvalidSettings
from ratchet.domain.trouble import sqlstate_of

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

ROUNDS = 3
ANSWER_SECONDS = 5

SHARED = (
    "a pooler that gives each transaction another session stands before Postgres (PgBouncer in transaction mode, say):"
    " prepared statements, settings and locks are lost between two statements"
)
UNKEPT = "something before Postgres drops the settings of a session ({names})"
ADVICE = "Connect to Postgres itself, or to a pool in session mode as docs/deployment.md says"

# What a pooler answers: a statement that it prepared elsewhere, or twice, or a message that it does not understand.
_SIGNS = frozenset({"26000", "42P05", "08P01"})
_UNKEPT = """
SELECT name FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout') AND setting = '0' ORDER BY name
"""
"""What a promise rests on; the other settings of a session only save time."""

_PID = "SELECT pg_backend_pid()"


async def require_own_sessions(pool: asyncpg.Pool) -> None:
    """Ask once, at the start; takes a few milliseconds.

    Raises:
        InvalidSettings: sessions are shared, or do not keep their settings.
    """
    async with pool.acquire() as one, pool.acquire() as other:
        flaw = await flaw_of(one, other)
    if flaw is not None:
        raise unusable(flaw)


def unusable(flaw: str) -> InvalidSettings:
    """The flaw as what stops a service."""
    return InvalidSettings(f"RATCHET_DATABASE_URL: {flaw}. {ADVICE}.")


def refusal_of(error: BaseException) -> str | None:
    """The flaw that an error tells of, when connecting or reading: settings unknown to a pooler, statements lost."""
    text = str(error)
    if "unsupported startup parameter" in text:
        return UNKEPT.format(names=text.rpartition(" ")[2])
    return SHARED if sqlstate_of(error) in _SIGNS or "pooling mode" in text else None


async def flaw_of(one: Connection, other: Connection) -> str | None:
    """What is wrong with the sessions behind two connections, if something is."""
    try:
        if await _is_shared(one, other):
            return SHARED
        unkept = [row["name"] for row in await one.fetch(_UNKEPT)]
    except asyncpg.PostgresError as error:
        flaw = refusal_of(error)
        if flaw is None:
            raise
        return flaw
    return UNKEPT.format(names=", ".join(unkept)) if unkept else None


async def _is_shared(one: Connection, other: Connection) -> bool:
    """Two open connections never have one process on the server, nor one connection two of them."""
    for _ in range(ROUNDS):
        async with asyncio.timeout(ANSWER_SECONDS):
            before = await other.fetchval(_PID)
            async with one.transaction():
                # A pooler takes the session that was used last; if somebody else was quicker, the other one moves.
                if await one.fetchval(_PID) == before or await other.fetchval(_PID) != before:
                    return True
    return False
