"""An error is judged by what it means; what nobody thought of is nobody's fault."""

import errno
import socket
import ssl

import asyncpg
import pytest
from aiormq.exceptions import (
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ConnectionClosed,
)
from asyncpg.exceptions import _base
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.trouble import Trouble, by_sqlstate, is_outage, sqlstate_of, trouble_of
from ratchet.messages.envelope import Unconfirmed
from redis.exceptions import ReadOnlyError, ResponseError
from sqlalchemy.exc import DBAPIError, ProgrammingError

ALL_OF_ASYNCPG = [
    kind for kind in vars(asyncpg.exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("08006", Trouble.UNREACHABLE),
        ("0A000", Trouble.UNFIT),
        ("22001", Trouble.CONTENT),
        ("22P05", Trouble.CONTENT),
        ("22P02", Trouble.CONTENT),
        ("23502", Trouble.UNKNOWN),
        ("25006", Trouble.READ_ONLY),
        ("25P03", Trouble.BUSY),
        ("26000", Trouble.UNFIT),
        ("28000", Trouble.REFUSED),
        ("28P01", Trouble.REFUSED),
        ("3D000", Trouble.UNFIT),
        ("40001", Trouble.BUSY),
        ("40P01", Trouble.BUSY),
        ("42501", Trouble.REFUSED),
        ("42P01", Trouble.UNFIT),
        ("42P05", Trouble.UNFIT),
        ("42703", Trouble.UNFIT),
        ("53100", Trouble.BUSY),
        ("53300", Trouble.BUSY),
        ("54000", Trouble.CONTENT),
        ("55P03", Trouble.BUSY),
        ("57014", Trouble.BUSY),
        ("57P01", Trouble.UNREACHABLE),
        ("57P03", Trouble.UNREACHABLE),
        ("58030", Trouble.BUSY),
        ("XX000", Trouble.UNKNOWN),
        ("XX001", Trouble.UNKNOWN),
    ],
)
def test_an_sqlstate_means_the_same_whichever_driver_carries_it(state: str, meaning: Trouble) -> None:
    assert by_sqlstate(state) is meaning
    assert trouble_of(asyncpg.PostgresError.new({"C": state, "M": "as the server says it"})) is meaning
    assert trouble_of(DBAPIError("SELECT 1", {}, type("Other", (Exception,), {"pgcode": state})())) is meaning


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (asyncpg.InternalClientError("got result for unknown protocol state 3"), Trouble.UNREACHABLE),
        (_base.ProtocolError("unexpected"), Trouble.UNREACHABLE),
        (_base.TargetServerAttributeNotMatched("no primary"), Trouble.UNREACHABLE),
        (asyncpg.InterfaceError("connection is closed"), Trouble.UNREACHABLE),
        (_base.ClientConfigurationError("could not be parsed"), Trouble.UNREACHABLE),
        (_base.DataError("invalid input for query argument $1: value out of int32 range"), Trouble.CONTENT),
        (ConnectionResetError(), Trouble.UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, "no route"), Trouble.UNREACHABLE),
        (OSError(errno.ENOSPC, "no space left"), Trouble.BUSY),
        (OSError("Multiple exceptions: connect call failed"), Trouble.UNREACHABLE),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), Trouble.UNREACHABLE),
        (ssl.SSLEOFError("cut off"), Trouble.UNREACHABLE),
        (TimeoutError(), Trouble.BUSY),
        (ConnectionClosed(320, "forced"), Trouble.UNREACHABLE),
        (AuthenticationError(), Trouble.REFUSED),
        (ChannelAccessRefused(), Trouble.REFUSED),
        (ChannelNotFoundEntity(), Trouble.UNFIT),
        (ChannelInvalidStateError(), Trouble.UNREACHABLE),
        (ReadOnlyError(), Trouble.READ_ONLY),
        (ResponseError(), Trouble.UNREACHABLE),
        (ProgrammingError("SELECT", {}, asyncpg.UndefinedColumnError("gone")), Trouble.UNFIT),
        (Unconfirmed([ConnectionClosed(320, "forced")], frozenset()), Trouble.UNREACHABLE),
        (Unconfirmed([ValueError("cannot be written")], frozenset(), by_one=True), Trouble.UNKNOWN),
        (ExceptionGroup("several", [OSError(), ConnectionError()]), Trouble.UNREACHABLE),
        (ExceptionGroup("several", [OSError(), TypeError()]), Trouble.UNKNOWN),
        (TypeError("ours"), Trouble.UNKNOWN),
        (KeyError("ours"), Trouble.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_without_sqlstate_is_judged_by_its_kind(error: Exception, meaning: Trouble) -> None:
    assert trouble_of(error) is meaning
    assert is_outage(error) is (meaning not in {Trouble.CONTENT, Trouble.UNKNOWN})


def test_what_an_error_was_raised_from_is_looked_at() -> None:
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction")
    assert trouble_of(wrapped) is Trouble.READ_ONLY


def test_errors_that_name_each_other_as_cause_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert trouble_of(one) is Trouble.UNKNOWN


@pytest.mark.parametrize("kind", ALL_OF_ASYNCPG, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_no_error_of_the_driver_is_the_contents_fault_unless_the_server_says_so(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    meant = sqlstate_of(error)
    if trouble_of(error) is Trouble.CONTENT:
        assert kind is _base.DataError or (meant or "")[:2] in {"22", "54"}


@given(st.text(alphabet="0123456789ABCDEFPVX", min_size=5, max_size=5))
def test_every_sqlstate_has_a_meaning(state: str) -> None:
    assert by_sqlstate(state) in Trouble
