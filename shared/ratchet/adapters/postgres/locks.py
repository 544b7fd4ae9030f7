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
    EXECUTOR_LIVES = 7_246_178


# An executor's own lock: the number, and its name. Its session ends with its process.
_MY_LIFE = "SELECT pg_advisory_lock($1::int, hashtext($2))"

LIVING = f"""
(SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = {Lock.EXECUTOR_LIVES.value}
    AND objsubid = 2 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
"""A subselect: what the names of all executors that live are hashed to."""


def lives(name: str) -> str:
    """A condition: whether the executor that the column `name` names has its process. Looked at where it is needed."""
    return f"((hashtext({name})::bigint & 4294967295) IN {LIVING})"


async def hold_life(connection: Connection, executor: str) -> None:
    """Others can see that this executor lives as long as the connection stands."""
    await connection.execute(_MY_LIFE, Lock.EXECUTOR_LIVES.value, executor)


async def try_in_transaction(connection: Connection, lock: Lock) -> bool:
    """Take the lock until the transaction ends, or say that another one holds it."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", lock.value))


async def try_in_session(connection: Connection, lock: Lock) -> bool:
    """Take the lock until `release_in_session` or the end of the connection, or say that another one holds it."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock.value))


async def release_in_session(connection: Connection, lock: Lock) -> None:
    """Give back what `try_in_session` took on the same connection."""
    await connection.execute("SELECT pg_advisory_unlock($1)", lock.value)
