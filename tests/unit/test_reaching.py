"""An error of connecting becomes one line: the variable, the server, what it says, what to do."""

import errno
import socket
import ssl

import asyncpg
import pytest
from aiormq.exceptions import AMQPConnectionError, AuthenticationError, ConnectionNotAllowed
from ratchet.adapters.postgres.migrate import newest_revision
from ratchet.adapters.postgres.schema import needed_revision
from ratchet.domain.errors import CannotStart
from ratchet.reaching import Server, reaching, reason_of
from redis.exceptions import AuthenticationError as RedisAuthenticationError

REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("server", "error", "found", "advice"),
    [
        (Server.POSTGRES, asyncpg.InvalidPasswordError("no"), "refuses the login", "user and password"),
        (Server.POSTGRES, asyncpg.InvalidCatalogNameError("no"), "no such database", "Create it"),
        (Server.POSTGRES, REFUSED, "nothing listens", "host and port"),
        (Server.POSTGRES, OSError("Multiple exceptions: [Errno 111] Connect call failed"), "nothing listens", "port"),
        (Server.POSTGRES, socket.gaierror(-2, "Name or service not known"), "cannot be found", "host"),
        (Server.POSTGRES, TimeoutError(), "does not answer", "RATCHET_DATABASE_URL"),
        (Server.POSTGRES, ConnectionError("server rejected SSL upgrade"), "TLS", "sslmode"),
        (Server.POSTGRES, asyncpg.CannotConnectNowError("starting up"), "starting", "in a moment"),
        (Server.POSTGRES, asyncpg.TooManyConnectionsError("no"), "no more connections", "max_connections"),
        (Server.RABBITMQ, AuthenticationError("ACCESS_REFUSED - Login was refused"), "login", "password"),
        (Server.RABBITMQ, ConnectionNotAllowed("NOT_ALLOWED - vhost x not found"), "vhost", "Create the vhost"),
        (Server.RABBITMQ, caused(AMQPConnectionError("?"), REFUSED), "nothing listens", "RATCHET_AMQP_URL"),
        (Server.RABBITMQ, caused(AMQPConnectionError("?"), ssl.SSLError("WRONG_VERSION")), "TLS", "amqps://"),
        (Server.REDIS, RedisAuthenticationError("WRONGPASS"), "login", "RATCHET_REDIS_URL"),
        (Server.REDIS, ExceptionGroup("all", [REFUSED]), "nothing listens", "RATCHET_REDIS_URL"),
        (Server.REDIS, ValueError("what is this"), "what is this", "redis://host:port"),
    ],
)
def test_each_failure_is_told_with_what_to_do(server: Server, error: Exception, found: str, advice: str) -> None:
    reason = reason_of(server, error)
    assert found in reason.found
    assert advice in reason.advice


def test_the_line_names_variable_server_and_place_and_no_password() -> None:
    with (
        pytest.raises(CannotStart) as refusal,
        reaching(Server.POSTGRES, "postgresql://sa:hunter2@db1:5433,db2/shop?sslmode=require"),
    ):
        raise asyncpg.InvalidPasswordError('password authentication failed for user "sa"')
    assert str(refusal.value) == (
        "RATCHET_DATABASE_URL: Postgres at db1:5433,db2:5432/shop refuses the login "
        '(password authentication failed for user "sa"). '
        "Correct user and password in RATCHET_DATABASE_URL"
    )


def test_the_schema_that_is_needed_is_the_newest_one() -> None:
    assert needed_revision() == newest_revision()
