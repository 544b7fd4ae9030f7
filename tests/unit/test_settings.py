"""What cannot be meant is refused or warned of, each time by the variable's name."""

from typing import Any

import pytest
from ratchet.domain.errors import InvalidSettings
from ratchet.settings import Settings, load_settings
from ratchet.settings_advice import advice_on

URLS = {"database_url": "postgresql://h/d", "amqp_url": "amqp://h", "redis_url": "redis://h"}
SECRET = "0123456789abcdef0123456789abcdef"


def settings(**changes: Any) -> Settings:
    return load_settings(**URLS | changes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jwt_secret", "abc"),
        ("jwt_secret", SECRET[1:]),
        ("jwt_jwks_url", "keys.example"),
        ("allowed_origins", "app.example"),
        ("allowed_origins", "https://a.example,b.example"),
        ("allowed_origins", "https://a.example/path"),
        ("http_allow", "10.0.0.0/99"),
        ("lease", "10ms"),
        ("lease", "0"),
        ("stale_after", "0s"),
        ("retry_delays", "0s,junk"),
        ("pools", "a b"),
        ("log_level", "LOUD"),
        ("amqp_url", "amqp://u:p@h:port/"),
        ("amqp_url", "http://h"),
        ("redis_url", "http://h"),
        ("redis_url", "redis://h:99999"),
        ("database_url", "mysql://h/d"),
        ("prefetch", "many"),
    ],
)
def test_a_value_that_cannot_be_meant_stops_the_start_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^RATCHET_{name.upper()}: ") as refusal:
        settings(**{name: value})
    assert SECRET[1:] not in str(refusal.value)


def test_ordinary_values_are_taken() -> None:
    taken = settings(
        jwt_secret=SECRET, allowed_origins="https://a.example, http://localhost:3000/", lease="1s", stale_after="1s"
    )
    assert taken.allowed_origins == ("https://a.example", "http://localhost:3000/")
    assert settings(redis_url="unix:///run/valkey.sock", amqp_url="amqps://u:p%40@[::1]:5671/%2F")


def test_a_mistyped_name_is_told_with_the_one_that_is_meant() -> None:
    environ = {"RATCHET_STALE_AFTR": "5m", "RATCHET_NONSENSE": "1", "RATCHET_LEASE": "30s", "OTHER": "x"}
    assert advice_on(settings(), environ) == [
        "RATCHET_NONSENSE: nobody reads it",
        "RATCHET_STALE_AFTR: nobody reads it. Is RATCHET_STALE_AFTER meant?",
    ]


@pytest.mark.parametrize(
    "name", ["TOKEN", "SERVERS", "TAG", "API_URL", "NOTIFIER_URL", "EXECUTOR_PID", "EXECUTOR_MORE_PID", "CRASH_AT"]
)
def test_names_that_others_read_are_no_mistakes(name: str) -> None:
    assert advice_on(settings(), {f"RATCHET_{name}": "x"}) == []


def test_work_that_counts_as_lost_before_its_lease_is_over_is_told() -> None:
    [advice] = advice_on(settings(lease="30s", stale_after="10s"), {})
    assert advice.startswith("RATCHET_STALE_AFTER: ")
