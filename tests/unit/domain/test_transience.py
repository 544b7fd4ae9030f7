"""What may pass by itself, by what the error means; the shapes are those of the libraries' own errors."""

import asyncio
import errno
import http.client
import socket
import sqlite3
import ssl
import urllib.error
from datetime import timedelta
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest
import redis.exceptions
import sqlalchemy.exc
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.errors import PermanentError, TransientError
from ratchet.domain.failure import classify
from ratchet.domain.transience import TRANSIENT_ERRNO, is_transient


def named(module: str, name: str, base: type[BaseException] = Exception) -> type[BaseException]:
    """A class that looks like one of a library that is not here."""
    return type(name, (base,), {"__module__": module})


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def with_state(state: str, name: str = "sqlstate") -> Exception:
    error = Exception("the database says no")
    setattr(error, name, state)
    return error


def grpc_error(status: str) -> BaseException:
    error = named("grpc", "RpcError")()
    error.code = lambda: SimpleNamespace(name=status)
    return error


def aws_error(code: str, status: int) -> BaseException:
    error = named("botocore.exceptions", "ClientError")(code)
    error.response = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return error


def answered(status: int, attribute: str = "status_code") -> Exception:
    error = Exception(f"HTTP {status}")
    error.response = SimpleNamespace(**{attribute: status})
    return error


def http_error(status: int) -> Exception:
    return urllib.error.HTTPError("http://x", status, "said so", Message(), None)


def sqlite_error(code: int) -> Exception:
    error = sqlite3.OperationalError("said so")
    error.sqlite_errorcode = code
    return error


MYSQL = named("pymysql.err", "OperationalError", named("pymysql.err", "MySQLError"))
TLS = ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:992)")
TLS.reason = "UNEXPECTED_EOF_WHILE_READING"

PASSING: dict[str, BaseException] = {
    "urllib refused": urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")),
    "urllib 503": http_error(503),
    "urllib cut off": http.client.IncompleteRead(b"half"),
    "no route": OSError(errno.EHOSTUNREACH, "No route to host"),
    "network down": OSError(errno.ENETUNREACH, "Network is unreachable"),
    "too many files": OSError(errno.EMFILE, "Too many open files"),
    "name service": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "several addresses": OSError(
        "Multiple exceptions: [Errno 111] Connect call failed, [Errno 113] Connect call failed"
    ),
    "tls cut off": TLS,
    "tls eof": ssl.SSLEOFError(8, "EOF occurred"),
    "group": ExceptionGroup("both", [ConnectionResetError(), TimeoutError()]),
    "group in group": ExceptionGroup("all", [ExceptionGroup("both", [ConnectionResetError()]), TimeoutError()]),
    "cause": raised_from(RuntimeError("could not book"), ConnectionResetError()),
    "cause of a cause": raised_from(RuntimeError("a"), raised_from(RuntimeError("b"), TimeoutError())),
    "cancelled by a library": asyncio.CancelledError(),
    "read only": with_state("25006"),
    "serialization": with_state("40001"),
    "deadlock": with_state("40P01", "pgcode"),
    "too many connections": with_state("53300"),
    "shutting down": with_state("57P01"),
    "statement timeout": with_state("57014"),
    "connection lost": with_state("08006"),
    "lock": with_state("55P03"),
    "wrapped by SQLAlchemy": sqlalchemy.exc.DBAPIError("SELECT 1", {}, with_state("40001")),
    "SQLAlchemy alone": sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection")),
    "mysql deadlock": MYSQL(1213, "Deadlock found"),
    "mysql gone": MYSQL(2006, "MySQL server has gone away"),
    "sqlite locked": sqlite_error(sqlite3.SQLITE_BUSY),
    "redis read only": redis.exceptions.ReadOnlyError("READONLY"),
    "redis try again": redis.exceptions.TryAgainError("TRYAGAIN"),
    "redis cluster down": redis.exceptions.ClusterDownError("CLUSTERDOWN"),
    "redis loading": redis.exceptions.BusyLoadingError("LOADING"),
    "grpc unavailable": grpc_error("UNAVAILABLE"),
    "grpc deadline": grpc_error("DEADLINE_EXCEEDED"),
    "aws throttling": aws_error("ThrottlingException", 400),
    "aws 503": aws_error("SlowDown", 503),
    "aws endpoint": named(
        "botocore.exceptions", "EndpointConnectionError", named("botocore.exceptions", "ConnectionError")
    )(),
    "503": answered(503),
    "aiohttp 502": answered(502, "status"),
    "408": answered(408),
    "429": answered(429),
    "requests connection": named("requests.exceptions", "ConnectionError", OSError)("no"),
}

LASTING: dict[str, BaseException] = {
    "urllib 404": http_error(404),
    "file": FileNotFoundError(errno.ENOENT, "no"),
    "disk full": OSError(errno.ENOSPC, "No space left on device"),
    "certificate": ssl.SSLCertVerificationError(1, "certificate verify failed"),
    "certificate in requests": named("requests.exceptions", "ConnectionError", OSError)(
        raised_from(RuntimeError("retries"), ssl.SSLCertVerificationError(1, "certificate verify failed"))
    ),
    "tls version": ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    "one address is wrong": OSError(
        "Multiple exceptions: [Errno 111] Connect call failed, [Errno 22] Invalid argument"
    ),
    "group with a defect": ExceptionGroup("both", [ConnectionResetError(), ValueError("bad")]),
    "permanent, whatever its cause": raised_from(PermanentError("no"), TimeoutError()),
    "caused by a permanent one": raised_from(RuntimeError("x"), PermanentError("no")),
    "no such table": with_state("42P01"),
    "duplicate": with_state("23505"),
    "constraint at commit": with_state("40002"),
    "password": with_state("28P01"),
    "duplicate in SQLAlchemy": sqlalchemy.exc.OperationalError("INSERT", {}, with_state("23505")),
    "mysql denied": MYSQL(1045, "Access denied"),
    "sqlite table": sqlite_error(sqlite3.SQLITE_ERROR),
    "redis password": redis.exceptions.AuthenticationError("WRONGPASS"),
    "redis type": redis.exceptions.ResponseError("WRONGTYPE"),
    "grpc argument": grpc_error("INVALID_ARGUMENT"),
    "grpc unknown": grpc_error("UNKNOWN"),
    "aws key": aws_error("NoSuchKey", 404),
    "400": answered(400),
    "exit code that looks like a status": SystemExit(503),
    "interrupt": KeyboardInterrupt(),
    "plain": ValueError("bad"),
}


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_what_may_pass_by_itself_is_transient(error: BaseException) -> None:
    assert is_transient(error)


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING)
def test_what_will_be_the_same_next_time_is_not(error: BaseException) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize("flag", ["retryable", "retriable", "is_transient"])
def test_an_error_that_says_itself_whether_it_may_be_tried_again_is_believed(flag: str) -> None:
    for says in (True, False):
        error = ConnectionResetError("said so")
        setattr(error, flag, says)
        assert is_transient(error) is says


@given(st.integers(1, 200))
def test_an_errno_means_the_same_in_every_error_of_the_system(number: int) -> None:
    error = OSError(number, "said so")
    assert is_transient(error) == (number in TRANSIENT_ERRNO or isinstance(error, ConnectionError | TimeoutError))


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    error, other = ValueError("a"), ValueError("b")
    error.__cause__, other.__cause__ = other, error
    assert not is_transient(error)


class Hostile(Exception):
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name != "__cause__":
            return super().__getattribute__(name)
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise SystemExit("in the text")


class HostileTransient(TransientError):
    retry_after = property(lambda _self: 1 / 0)

    def __init__(self) -> None:
        """Without the one above it."""


def test_an_error_that_cannot_be_read_is_a_failure_that_says_so() -> None:
    failure = classify(Hostile())
    assert (failure.error_class, failure.is_transient) == ("Hostile", False)
    assert failure.reason == "Hostile: (its text could not be read: SystemExit)"
    assert classify(HostileTransient()).is_transient
    assert classify(HostileTransient()).retry_after is None


class Mine(Exception):
    pass


def test_the_steps_own_types_count_in_groups_and_as_causes_too() -> None:
    assert not is_transient(Mine())
    assert is_transient(ExceptionGroup("all", [Mine(), TimeoutError()]), retry_on=(Mine,))
    assert is_transient(raised_from(RuntimeError("x"), Mine()), retry_on=(Mine,))
    assert not is_transient(raised_from(PermanentError("x"), Mine()), retry_on=(Mine,))


def test_the_longest_wait_that_is_asked_for_anywhere_is_kept() -> None:
    waits = [TransientError("a", retry_after=3), TransientError("b", retry_after=30), TimeoutError()]
    assert classify(ExceptionGroup("all", waits)).retry_after == timedelta(seconds=30)
    assert classify(raised_from(RuntimeError("x"), waits[0])).retry_after == timedelta(seconds=3)


class Quitting(Exception):
    """Ends the process when it is looked at."""

    @property
    def retryable(self) -> bool:
        raise SystemExit("looked at")


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise KeyboardInterrupt


def test_an_error_that_ends_processes_when_it_is_looked_at_is_a_failure_like_any_other() -> None:
    assert classify(Quitting("busy")).reason == "Quitting: busy"
    unreadable = classify(Nameless("Odd", (Exception,), {})())
    assert (unreadable.error_class, unreadable.is_transient) == ("Unreadable", False)
