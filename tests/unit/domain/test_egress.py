"""Steps call out to the open internet, and elsewhere only where the operator says so."""

from ipaddress import ip_address

import pytest
from ratchet.domain.egress import EgressRules, is_public
from ratchet.domain.errors import InvalidSettings

PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::ffff:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "ff02::1",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_public_is_refused_however_it_is_written(text: str) -> None:
    assert not is_public(ip_address(text))
    assert not EgressRules.of([]).allows("example.org", text)


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_address_is_allowed(text: str) -> None:
    assert EgressRules.of([]).allows("example.org", text)


def test_a_listed_network_is_allowed() -> None:
    rules = EgressRules.of(["10.0.0.0/8", "::1"])
    assert rules.allows("erp", "10.9.8.7")
    assert rules.allows("localhost", "::1")
    assert not rules.allows("localhost", "127.0.0.1")


def test_a_listed_host_is_allowed_wherever_it_leads() -> None:
    rules = EgressRules.of(["ERP.internal."])
    assert rules.allows("erp.internal", "192.168.0.5")
    assert not rules.allows("other.internal", "192.168.0.5")


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "a/b", ""])
def test_an_entry_that_is_neither_host_nor_network_stops_the_start(entry: str) -> None:
    with pytest.raises(InvalidSettings, match="RATCHET_HTTP_ALLOW"):
        EgressRules.of([entry])
