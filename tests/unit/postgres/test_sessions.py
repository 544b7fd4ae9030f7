"""A pooler that gives each transaction another session is found out, and told in one line."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import pytest
from ratchet.adapters.postgres.sessions import SHARED, Connection, flaw_of, refusal_of, unusable


@dataclass
class Server:
    """Hands out sessions (by their process id) the way Postgres or a pooler does."""

    shares: bool
    dropped: Sequence[str] = ()
    error: Exception | None = None
    free: list[int] = field(default_factory=list)
    next_pid: Callable[[], int] = field(default_factory=lambda: itertools.count(100).__next__)


class Client:
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._own = None if server.shares else server.next_pid()
        self._held: int | None = None

    async def fetchval(self, _query: str) -> int:
        if self._server.error is not None:
            raise self._server.error
        if self._own is not None or self._held is not None:
            return cast("int", self._own or self._held)
        pid = self._take()
        self._server.free.append(pid)
        return pid

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self._held = self._take()
        yield
        self._server.free.append(self._held)
        self._held = None

    async def fetch(self, _query: str) -> list[dict[str, Any]]:
        return [{"name": name} for name in self._server.dropped]

    def _take(self) -> int:
        return self._server.free.pop() if self._server.free else self._server.next_pid()


async def flaw_at(server: Server) -> str | None:
    one, other = (cast("Connection", Client(server)) for _ in range(2))
    return await flaw_of(one, other)


async def test_sessions_of_postgres_itself_are_ones_own() -> None:
    assert await flaw_at(Server(shares=False)) is None


@pytest.mark.parametrize("free", [[], [7], [7, 8, 9]])
async def test_a_session_that_two_connections_get_is_shared(free: list[int]) -> None:
    assert await flaw_at(Server(shares=True, free=free)) == SHARED


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InvalidSQLStatementNameError('prepared statement "__asyncpg_stmt_1__" does not exist'),
        asyncpg.DuplicatePreparedStatementError('prepared statement "__asyncpg_stmt_1__" already exists'),
        asyncpg.ConnectionDoesNotExistError("transaction blocks not allowed in statement pooling mode"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_statements_that_are_lost_tell_of_it_too(error: Exception) -> None:
    assert await flaw_at(Server(shares=True, error=error)) == SHARED


async def test_another_error_is_no_sign_of_a_pooler() -> None:
    with pytest.raises(asyncpg.CannotConnectNowError):
        await flaw_at(Server(shares=False, error=asyncpg.CannotConnectNowError("the database system is starting up")))


async def test_time_limits_that_are_dropped_are_named() -> None:
    flaw = await flaw_at(Server(shares=False, dropped=["statement_timeout"]))
    assert flaw is not None
    assert "(statement_timeout)" in flaw


def test_a_pooler_that_refuses_the_settings_is_named_with_what_to_do() -> None:
    flaw = refusal_of(asyncpg.ProtocolViolationError("unsupported startup parameter: statement_timeout"))
    assert flaw is not None
    text = str(unusable(flaw))
    assert text.startswith("RATCHET_DATABASE_URL: ")
    assert "statement_timeout" in text
    assert "Connect to Postgres itself" in text
    assert refusal_of(asyncpg.InvalidPasswordError("password authentication failed")) is None
