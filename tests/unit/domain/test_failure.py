"""What is transient, what is permanent, and what is told about it."""

import socket
from datetime import timedelta
from types import SimpleNamespace

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.errors import HeartbeatLost, PermanentError, StepTimeout, TransientError
from ratchet.domain.failure import MAX_REASON, classify, sanitise
from ratchet.domain.workflow import FailureKind
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError


class AnsweredError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.response = SimpleNamespace(status_code=status)


@pytest.mark.parametrize(
    "error",
    [
        TransientError("busy"),
        TimeoutError(),
        StepTimeout("no result within 30 s"),
        HeartbeatLost("silent"),
        ConnectionResetError(),
        BrokenPipeError(),
        socket.gaierror(-2, "unknown host"),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        RedisConnectionError("gone"),
        OperationalError("SELECT 1", {}, Exception("server closed the connection")),
        AnsweredError(500),
        AnsweredError(503),
        AnsweredError(408),
        AnsweredError(429),
    ],
    ids=lambda error: f"{type(error).__name__}-{error}",
)
def test_a_passing_trouble_is_transient(error: Exception) -> None:
    assert classify(error).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("no"),
        ValueError("bad"),
        KeyError("x"),
        AnsweredError(404),
        AnsweredError(400),
        FileNotFoundError(),
    ],
    ids=lambda error: f"{type(error).__name__}-{error}",
)
def test_everything_else_is_permanent(error: Exception) -> None:
    assert classify(error).kind is FailureKind.PERMANENT


def test_a_step_can_add_its_own_transient_types() -> None:
    assert classify(KeyError("x"), retry_on=(KeyError,)).is_transient


def test_permanent_wins_over_the_steps_own_types() -> None:
    assert not classify(PermanentError("no"), retry_on=(Exception,)).is_transient


def test_the_wait_that_an_error_asks_for_travels_with_the_failure() -> None:
    error = TransientError("busy", retry_after=timedelta(seconds=7))
    assert classify(error).retry_after == timedelta(seconds=7)


def test_a_reason_names_the_error_and_its_text() -> None:
    assert classify(ValueError("bad amount")).reason == "ValueError: bad amount"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://app:hunter2@db:5432/x is down", "hunter2"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("token eyJhbGciOi.eyJzdWIiOiJ.c2lnbmF0dXJl refused", "eyJzdWIiOiJ"),
        ("password=hunter2&user=x", "hunter2"),
        ("{'api_key': 'k-123456'}", "k-123456"),
        ("client_secret: s3cr3t", "s3cr3t"),
    ],
)
def test_credentials_never_reach_a_reason(text: str, secret: str) -> None:
    assert secret not in classify(RuntimeError(text)).reason


@given(st.text(max_size=3000))
def test_a_reason_is_short_one_line_and_storable(text: str) -> None:
    reason = sanitise(text)
    assert len(reason) <= MAX_REASON
    assert not any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in reason)
    reason.encode()
