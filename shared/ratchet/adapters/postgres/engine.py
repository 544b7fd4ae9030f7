"""Connections to Postgres: asyncpg pools with limits on the server's side."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from ratchet.adapters.postgres import sessions
from ratchet.adapters.postgres.connecting import connect
from ratchet.postgres_address import parse_address
from ratchet.reaching import Server, reaching

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

STATEMENT_TIMEOUT = timedelta(seconds=8)
CLOSE_SECONDS = 2
IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=10)
COMMANDS: dict[str, Any] = {"command_timeout": STATEMENT_TIMEOUT.total_seconds() + 2}

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


def sqlalchemy_engine(database_url: str, *, settings: dict[str, str], **options: Any) -> "AsyncEngine":
    """An engine of SQLAlchemy whose connections are made as all others are; it connects at first use.

    Its dialect would read the address in a way of its own.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    async def make() -> asyncpg.Connection:
        return await connect(database_url, application=settings["application_name"], settings=settings, **COMMANDS)

    return create_async_engine("postgresql+asyncpg://", async_creator=make, **options)


async def connect_pool(database_url: str, *, application: str, size: int, waits_for_disk: bool = True) -> asyncpg.Pool:
    """Open a pool of at most `size` connections; the server ends statements and idle transactions that hang.

    Without `waits_for_disk` a commit is answered before it is on disk: only for what the broker can bring again.

    Raises:
        InvalidSettings: a pooler stands before the server that does not keep sessions.
        CannotStart: the database cannot be reached.
    """
    settings = server_settings(application)
    if not waits_for_disk:
        settings["synchronous_commit"] = "off"
    address = parse_address(database_url)

    async def make(*_address: Any, **given: Any) -> asyncpg.Connection:
        return await connect(address, application=settings["application_name"], settings=settings, **COMMANDS, **given)

    with reaching(Server.POSTGRES, database_url):
        pool = await _open(size, make)
    if waits_for_disk and size > 1:
        try:
            await sessions.require_own_sessions(pool)
        except BaseException:
            pool.terminate()
            raise
    return pool


async def _open(size: int, make: Callable[..., Coroutine[Any, Any, asyncpg.Connection]]) -> asyncpg.Pool:
    try:
        return await asyncpg.create_pool(min_size=1, max_size=size, connect=make, reset=_keep_session)
    except asyncpg.PostgresError as error:
        flaw = sessions.refusal_of(error)
        if flaw is None:
            raise
        raise sessions.unusable(flaw) from error


@asynccontextmanager
async def snapshot(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection whose questions all see one moment; nothing can be written."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection


async def close_pool(pool: asyncpg.Pool) -> None:
    """Let running statements finish for a moment, then cut the connections."""
    try:
        await asyncio.wait_for(pool.close(), timeout=CLOSE_SECONDS)
    except TimeoutError:
        pool.terminate()


async def _keep_session(_connection: asyncpg.Connection) -> None:
    """Nothing here leaves traces in a session, so the round trip that would clean it up after each use is saved."""


def server_settings(application: str) -> dict[str, str]:
    """What every connection of ours asks of the server."""
    return {
        "application_name": f"ratchet-{application}",
        "statement_timeout": str(int(STATEMENT_TIMEOUT.total_seconds() * 1000)),
        "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_TIMEOUT.total_seconds() * 1000)),
        "timezone": "UTC",
        # Statements here are short; compiling them would take longer than running them.
        "jit": "off",
        # Planning a batch statement takes as long as running it, and its plan never depends on the values.
        "plan_cache_mode": "force_generic_plan",
    }
