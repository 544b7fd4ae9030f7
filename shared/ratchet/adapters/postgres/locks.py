"""Every advisory lock there is.

Postgres knows them by number alone, for the whole database: two uses of one number shut each other out.
"""

from enum import IntEnum, unique

from ratchet.adapters.postgres.engine import Connection


@unique
class Lock(IntEnum):
    """What is done by one process at a time. The numbers mean nothing; never give one that was used to another use."""

    MIGRATION = 7_246_173
    RESTART_SCAN = 7_246_174
    AUDIT_SEALING = 7_246_175
    PARKED_QUEUE = 7_246_176
    FEED_PRUNING = 7_246_177


async def try_in_transaction(connection: Connection, lock: Lock) -> bool:
    """Take the lock until the transaction ends, or say that another one holds it."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", lock.value))


async def try_in_session(connection: Connection, lock: Lock) -> bool:
    """Take the lock until `release_in_session` or the end of the connection, or say that another one holds it."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock.value))


async def release_in_session(connection: Connection, lock: Lock) -> None:
    """Give back what `try_in_session` took on the same connection."""
    await connection.execute("SELECT pg_advisory_unlock($1)", lock.value)
