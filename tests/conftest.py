"""Real servers for every test that asks for them: one private set for the whole run, clean ground for each test."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from local_stack.databases import create_database, drop_database
from local_stack.servers import RunningServers, own_servers
from ratchet.adapters.postgres.migrate import migrate

from tests.browser.chromium import can_install, chromium

pytest_plugins = ["tests.harness.fixtures"]

# Chosen here, because with CI=true hypothesis would choose a profile that tries the same examples in every run.
hypothesis.settings.register_profile("ratchet", derandomize=False, print_blob=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ratchet"))

PROJECT = Path(__file__).parent.parent
TEMPLATE = "ratchet_template"


@pytest.fixture(scope="session")
def servers() -> Iterator[RunningServers]:
    """RabbitMQ, Postgres and Valkey, private to this run."""
    with own_servers(PROJECT / ".ratchet" / "test", say=print, fresh=True) as running:
        yield running


@pytest.fixture(scope="session")
def database_template(servers: RunningServers) -> str:
    """A migrated, empty database to copy."""
    url = create_database(servers.database_url, TEMPLATE)
    asyncio.run(migrate(url))
    return TEMPLATE


@pytest.fixture
def database_url(servers: RunningServers, database_template: str) -> Iterator[str]:
    """A fresh migrated database."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    yield create_database(servers.database_url, name, template=database_template)
    drop_database(servers.database_url, name)


@pytest.fixture(scope="session")
def _spare_vhosts(servers: RunningServers) -> list[str]:
    return []


@pytest.fixture
def amqp_url(servers: RunningServers, _spare_vhosts: list[str]) -> str:
    """A broker namespace nobody used before; made by the dozen, because each call takes half a second."""
    if not _spare_vhosts:
        _spare_vhosts.extend(servers.create_vhosts([f"v_{uuid.uuid4().hex[:12]}" for _ in range(12)]))
    return _spare_vhosts.pop()


@pytest.fixture
def redis_url(servers: RunningServers) -> str:
    """An emptied Valkey."""
    import redis

    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushall()
    return servers.redis_url


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install the browser now if a test will want it: it takes longer than one test may."""
    if any("browser" in item.nodeid for item in session.items) and can_install():
        chromium()
