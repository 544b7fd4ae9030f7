"""Where the client looks for Ratchet, and how long it waits between tries."""

from datetime import timedelta

import pytest
from ratchet.client import NotConfigured, endpoints_from
from ratchet.client.backoff import LONGEST, full_jitter
from ratchet.client.endpoints import is_loopback, websocket_url


def test_without_addresses_it_is_this_machine_at_the_services_ports() -> None:
    endpoints = endpoints_from({"RATCHET_TOKEN": "t"})
    assert (endpoints.api_url, endpoints.notifier_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:8081")
    assert endpoints.token() == "t"


def test_addresses_and_ports_of_the_environment_count() -> None:
    environ = {"RATCHET_TOKEN": "t", "RATCHET_API_URL": "https://api.example/", "RATCHET_NOTIFIER_PORT": "9001"}
    endpoints = endpoints_from(environ)
    assert (endpoints.api_url, endpoints.notifier_url) == ("https://api.example", "http://127.0.0.1:9001")


def test_a_missing_token_is_told_with_what_to_do() -> None:
    with pytest.raises(NotConfigured, match=r"RATCHET_TOKEN is not set.*ratchet token"):
        endpoints_from({})


def test_what_is_no_address_is_told_by_name_and_not_by_value() -> None:
    with pytest.raises(NotConfigured, match="RATCHET_API_URL must be") as told:
        endpoints_from({"RATCHET_TOKEN": "t", "RATCHET_API_URL": "user:secret@host"})
    assert "secret" not in str(told.value)


def test_the_token_is_not_shown_with_the_endpoints() -> None:
    assert "hidden" not in repr(endpoints_from({"RATCHET_TOKEN": "hidden"}))


@pytest.mark.parametrize(("http", "websocket"), [("http://h:1", "ws://h:1"), ("https://h/base", "wss://h/base")])
def test_the_notifier_s_websocket_has_the_same_address(http: str, websocket: str) -> None:
    assert websocket_url(http) == websocket


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("http://127.0.0.1:1", True), ("http://localhost", True), ("http://[::1]:1", True), ("http://h", False)],
)
def test_no_proxy_stands_before_this_machine(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


def test_waits_double_up_to_a_limit_and_are_spread_from_zero_on() -> None:
    most = [full_jitter(failures, 1).total_seconds() for failures in range(1, 9)]
    assert most == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
    assert full_jitter(5, 0) == timedelta(0)
    assert full_jitter(10_000, 1) == LONGEST
