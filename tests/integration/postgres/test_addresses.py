"""One address, as a managed database gives it: the same for pools, for SQLAlchemy, for the migration and the doctor."""

import socket
from urllib.parse import urlsplit

import asyncpg
import pytest
from ratchet.adapters.postgres.connecting import connect
from ratchet.adapters.postgres.engine import close_pool, connect_pool
from ratchet.adapters.postgres.migrate import migrate
from ratchet.adapters.postgres.query_engine import connect_engine
from ratchet.cli.doctor.check_postgres import check_postgres
from ratchet.cli.doctor.findings import Level
from ratchet.domain.errors import CannotStart
from sqlalchemy import text

NAME = "SELECT current_setting('application_name')"


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def with_dead_host(url: str, port: int, query: str) -> str:
    """The same database behind a host that does not answer."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}@127.0.0.1:{port},{host}", query=query).geturl()


async def of_pool(url: str) -> str:
    pool = await connect_pool(url, application="test", size=1)
    try:
        return str(await pool.fetchval(NAME))
    finally:
        await close_pool(pool)


async def of_engine(url: str) -> str:
    engine = connect_engine(url, application="test", size=1)
    try:
        async with engine.connect() as connection:
            return str(await connection.scalar(text(NAME)))
    finally:
        await engine.dispose()


async def test_several_hosts_and_a_name_mean_the_same_to_everybody(database_url: str, dead_port: int) -> None:
    url = with_dead_host(
        database_url,
        dead_port,
        "application_name=shop&target_session_attrs=read-write&sslmode=prefer&connect_timeout=5",
    )
    for scheme in ("postgresql://", "postgres://", "postgresql+asyncpg://"):
        address = url.replace("postgresql://", scheme)
        await migrate(address)
        assert (await of_pool(address), await of_engine(address)) == ("shop", "shop")
        findings = await check_postgres(address)
        assert [finding.subject for finding in findings if finding.level is Level.RED] == []


async def test_without_a_name_ours_is_shown(database_url: str) -> None:
    assert (await of_pool(database_url), await of_engine(database_url)) == ("ratchet-test", "ratchet-test")


async def test_a_host_that_never_answers_does_not_hide_the_next_one(database_url: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = with_dead_host(database_url, silent.getsockname()[1], "connect_timeout=1&sslmode=disable")
        connection = await connect(url, application="test")
        await connection.close()


async def test_tls_that_the_server_does_not_have_is_a_clear_failure_everywhere(database_url: str) -> None:
    url = f"{database_url}?sslmode=require"
    for attempt in (of_pool, of_engine, migrate):
        with pytest.raises((OSError, CannotStart), match="SSL"):
            await attempt(url)
    [finding] = await check_postgres(url)
    assert finding.level is Level.RED
    assert "SSL" in finding.found


async def test_options_and_hosts_that_will_not_do(database_url: str) -> None:
    connection = await connect(f"{database_url}?options=-c%20geqo%3Doff", application="test")
    assert await connection.fetchval("SHOW geqo") == "off"
    await connection.close()
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(f"{database_url}?target_session_attrs=standby", application="test")
    connection = await connect(f"{database_url}?target_session_attrs=prefer-standby", application="test")
    await connection.close()
