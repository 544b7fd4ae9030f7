"""Notifiers on real servers, run within the test's own event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from notifier.app import create_app
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.service import GracefulServer, claim_port, server_config
from ratchet.settings import Settings, load_settings

from tests.integration.notifier.talk import ORIGIN, SECRET, Emitter, Notifier


@pytest.fixture
def settings(database_url: str, amqp_url: str, redis_url: str) -> Settings:
    return load_settings(
        database_url=database_url,
        amqp_url=amqp_url,
        redis_url=redis_url,
        jwt_secret=SECRET,
        allowed_origins=(ORIGIN,),
        host="127.0.0.1",
    )


Start = Callable[..., Awaitable[Notifier]]


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts any number of instances; all end with the test."""
    running: list[Notifier] = []

    async def start(*, port: int = 0, **changes: Any) -> Notifier:
        listener = claim_port("127.0.0.1", port)
        port = int(listener.getsockname()[1])
        server = GracefulServer(server_config(create_app(settings.model_copy(update=changes))))
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # signals are pytest's
        task = asyncio.create_task(server.serve(sockets=[listener]))
        notifier = Notifier(server, task, port)
        running.append(notifier)
        while not server.started:
            if task.done():
                await task
                raise AssertionError("the notifier did not start")
            await asyncio.sleep(0.01)
        return notifier

    yield start
    for notifier in running:
        await notifier.stop()


@pytest.fixture
async def notifier(start: Start) -> Notifier:
    return await start()


@pytest.fixture
async def emit(settings: Settings) -> AsyncIterator[Emitter]:
    publisher = await Publisher.open(settings.amqp_url.get_secret_value(), name="test")
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
    yield Emitter(publisher)
    await publisher.close()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    yield connection
    await connection.close()
