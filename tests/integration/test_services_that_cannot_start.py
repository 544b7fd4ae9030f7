"""A service that cannot start ends with exit code 2 and one line: the variable, the server, what to do."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_stack.databases import create_database, drop_database
from local_stack.servers import RunningServers

SERVICES = ("executor", "recovery", "notifier", "admin_api")
SECRET = "0123456789abcdef0123456789abcdef"
SECONDS = 30


def with_parts(url: str, *, login: str | None = None, host: str | None = None, path: str | None = None) -> str:
    parts = urlsplit(url)
    own_login, _, own_host = parts.netloc.rpartition("@")
    netloc = f"{login or own_login}@{host or own_host}"
    return parts._replace(netloc=netloc, path=parts.path if path is None else path).geturl()


class Place:
    """Where services are started that end at once."""

    def __init__(self, folder: Path, database_url: str, amqp_url: str, redis_url: str) -> None:
        self._folder = folder
        self.settings = {
            "DATABASE_URL": database_url,
            "AMQP_URL": amqp_url,
            "REDIS_URL": redis_url,
            "WORKFLOWS": "order_fulfilment",
            "JWT_SECRET": SECRET,
            **{f"{name}_PORT": "0" for name in ("API", "NOTIFIER", "EXECUTOR", "RECOVERY")},
        }

    def told(self, service: str, **changes: str) -> str:
        """The one line that is not a log line."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        own = {f"RATCHET_{name}": value for name, value in {**self.settings, **changes}.items()}
        ended = subprocess.run(
            [sys.executable, "-m", service],
            env={**environ, **own},
            cwd=self._folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == 2, ended.stderr
        assert "Traceback" not in ended.stderr
        lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
        assert "cannot start" in lines[0]
        return " ".join(lines)


@pytest.fixture
def place(tmp_path: Path, database_url: str, amqp_url: str, redis_url: str) -> Place:
    return Place(tmp_path, database_url, amqp_url, redis_url)


@pytest.fixture
def empty_database_url(servers: RunningServers) -> Iterator[str]:
    yield create_database(servers.database_url, "t_not_migrated")
    drop_database(servers.database_url, "t_not_migrated")


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_that_does_not_exist(place: Place, service: str) -> None:
    told = place.told(service, DATABASE_URL=with_parts(place.settings["DATABASE_URL"], path="/nowhere"))
    assert "RATCHET_DATABASE_URL: Postgres at " in told
    assert "/nowhere has no such database. Create it" in told


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_that_was_not_migrated(place: Place, service: str, empty_database_url: str) -> None:
    told = place.told(service, DATABASE_URL=empty_database_url)
    assert "RATCHET_DATABASE_URL: the database is empty. Run python -m ratchet.adapters.postgres.migrate" in told


def test_what_is_wrong_with_the_database_is_told_apart(place: Place) -> None:
    url = place.settings["DATABASE_URL"]
    assert "refuses the login" in place.told("recovery", DATABASE_URL=with_parts(url, login="nobody:hunter2"))
    assert "host name" in place.told("recovery", DATABASE_URL=with_parts(url, host="no.such.host.invalid:5432"))
    assert "nothing listens" in place.told("recovery", DATABASE_URL=with_parts(url, host="127.0.0.1:1"))
    assert "sslmode" in place.told("recovery", DATABASE_URL=f"{url}?sslmode=require")
    assert "sslmod;" in place.told("recovery", DATABASE_URL=f"{url}?sslmod=require")


def test_what_is_wrong_with_the_broker_is_told_apart(place: Place) -> None:
    url = place.settings["AMQP_URL"]
    login = place.told("executor", AMQP_URL=with_parts(url, login="nobody:hunter2"))
    assert "RATCHET_AMQP_URL: RabbitMQ at " in login
    assert "refuses the login" in login
    assert "hunter2" not in login
    assert "vhost" in place.told("executor", AMQP_URL=with_parts(url, path="/nowhere"))
    assert "nothing listens" in place.told("notifier", AMQP_URL=with_parts(url, host="127.0.0.1:1"))
    assert "TLS" in place.told("admin_api", AMQP_URL=url.replace("amqp://", "amqps://"))


def test_a_port_that_is_taken_and_settings_that_cannot_be_meant(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"RATCHET_API_PORT: cannot listen on 127.0.0.1:{port}" in place.told("admin_api", API_PORT=port)
    assert "RATCHET_WORKFLOWS: " in place.told("executor", WORKFLOWS="")
    assert "RATCHET_RETRY_DELAYS: " in place.told("executor", RETRY_DELAYS="0s,junk")
    assert "RATCHET_HTTP_ALLOW: " in place.told("executor", HTTP_ALLOW="10.0.0.0/99")
    assert "RATCHET_JWT_SECRET: " in place.told("notifier", JWT_SECRET="abc")
