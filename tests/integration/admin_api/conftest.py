"""The admin API in this process, on real servers: one app for each file of tests, clean tables for each test."""

import uuid
from collections.abc import AsyncIterator, Iterator

import aio_pika
import asyncpg
import httpx2
import pytest
import pytest_asyncio
import structlog
from admin_api.app import create_app
from fastapi import FastAPI
from local_stack.databases import create_database, drop_database
from local_stack.servers import RunningServers
from ratchet.settings import Settings, load_settings

from tests.integration.admin_api.admin_stage import AUDIT_TABLES, SECRET, TABLES, Rows, ScriptedRecovery
from tests.integration.admin_api.dashboard_visitor import Browser


@pytest.fixture(scope="module")
def settings(servers: RunningServers, database_template: str) -> Iterator[Settings]:
    name = f"a_{uuid.uuid4().hex[:12]}"
    [amqp_url] = servers.create_vhosts([name])
    database_url = create_database(servers.database_url, name, template=database_template)
    yield load_settings(
        database_url=database_url,
        amqp_url=amqp_url,
        redis_url="redis://127.0.0.1:1/0",
        jwt_secret=SECRET,
        recovery_wait="2s",
    )
    drop_database(servers.database_url, name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


def _client(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://api")


@pytest_asyncio.fixture(loop_scope="module")
async def api(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    # Also keeps the logs out of the tests' output.
    with structlog.testing.capture_logs():
        async with _client(app) as client:
            yield client


@pytest_asyncio.fixture(loop_scope="module")
async def cut_off_api(settings: Settings, rows: Rows) -> AsyncIterator[httpx2.AsyncClient]:
    """An app of its own whose connection to the broker is gone."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await app.state.publisher.close()
        async with _client(app) as client:
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(settings.database_url.get_secret_value(), min_size=1, max_size=4) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def rows(pool: asyncpg.Pool, broker: aio_pika.abc.AbstractChannel) -> Rows:
    """Clean ground."""
    await pool.execute(f"TRUNCATE {', '.join(AUDIT_TABLES)}")
    await pool.execute("; ".join(f"DELETE FROM {table}" for table in TABLES))
    for name in ("executor.steps.default", "recovery.commands"):
        await (await broker.get_queue(name)).purge()
    rows = Rows(pool)
    await rows.definition()
    return rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(app: FastAPI, settings: Settings) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(settings.amqp_url.get_secret_value()) as connection:
        yield await connection.channel()


@pytest_asyncio.fixture(loop_scope="module")
async def recovery(rows: Rows, settings: Settings) -> AsyncIterator[ScriptedRecovery]:
    recovery = ScriptedRecovery(rows.pool)
    async with await aio_pika.connect(settings.amqp_url.get_secret_value()) as connection:
        await recovery.consume(connection)
        yield recovery


@pytest_asyncio.fixture(loop_scope="module")
async def browser(app: FastAPI, rows: Rows) -> AsyncIterator[Browser]:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://dashboard") as http:
        yield Browser(http)
