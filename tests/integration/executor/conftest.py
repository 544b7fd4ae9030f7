"""A place of its own for each test that starts and kills processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.integration.executor.processes import Site


@pytest.fixture
async def site(tmp_path: Path, database_url: str, amqp_url: str, redis_url: str) -> AsyncIterator[Site]:
    """A fresh database and broker namespace; processes started there end with the test."""
    place = Site(tmp_path, database_url, amqp_url, redis_url, await asyncpg.connect(database_url))
    yield place
    place.close()
    await place.connection.close()
