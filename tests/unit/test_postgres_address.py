"""An address as libpq takes it means one thing, and what is wrong with it is said without the password."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.errors import InvalidSettings
from ratchet.postgres_address import WrongAddress, parse_address
from ratchet.settings import load_settings

OTHERS = {"amqp_url": "amqp://localhost", "redis_url": "redis://localhost"}


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_every_part_is_found_under_each_name_of_the_scheme(scheme: str) -> None:
    address = parse_address(f"{scheme}://sa:p%40ss%2Fw@db1:5433,db2/shop?application_name=x&connect_timeout=5")
    assert address.hosts == (("db1", 5433), ("db2", 5432))
    assert (address.user, address.password, address.database) == ("sa", "p@ss/w", "shop")
    assert (address.application_name, address.connect_seconds) == ("x", 5)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("postgresql://u@[::1]:5433,[fe80::2]/d", (("::1", 5433), ("fe80::2", 5432))),
        ("postgresql://u@%2Frun%2Fpostgresql/d", (("/run/postgresql", 5432),)),
        ("postgresql://u@/d?host=/run/postgresql&port=5433", (("/run/postgresql", 5433),)),
        ("postgresql://u@/d?host=a,b&port=1,2", (("a", 1), ("b", 2))),
        ("postgresql://a,b/d?port=6000", (("a", 6000), ("b", 6000))),
        ("postgresql:///d", ()),
        ("postgresql://", ()),
    ],
)
def test_hosts_are_names_addresses_and_sockets(text: str, hosts: tuple[tuple[str, int], ...]) -> None:
    assert parse_address(text).hosts == hosts


def test_what_the_address_says_of_tls_and_the_session_goes_to_the_driver() -> None:
    address = parse_address(
        "postgresql://h/d?sslmode=verify-full&sslcert=/a%20b&target_session_attrs=read-write&options=-c%20geqo%3Doff"
    )
    assert address.driver_arguments()["dsn"] == "postgresql://?sslmode=verify-full&sslcert=%2Fa%20b"
    assert address.target_session_attrs == "read-write"
    assert address.session_settings() == {"options": "-c geqo=off"}


def test_the_system_certificates_mean_the_whole_check() -> None:
    assert parse_address("postgresql://h/d?sslrootcert=system").driver_arguments()["ssl"] is True
    with pytest.raises(WrongAddress, match="verify-full"):
        parse_address("postgresql://h/d?sslrootcert=system&sslmode=require")


def test_the_words_of_sqlalchemy_for_tls_are_understood() -> None:
    assert parse_address("postgresql+asyncpg://h/d?ssl=true").parameters == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mysql://h/d", "postgresql://"),
        ("postgresql://h/d?sslmod=require", "sslmod;"),
        ("postgresql://h/d?sslmode=requires", "sslmode"),
        ("postgresql://h/d?sslmode", "sslmode"),
        ("postgresql://h/d?sslmode=require&sslmode=disable", "sslmode twice"),
        ("postgresql://h/d?target_session_attrs=readwrite", "target_session_attrs"),
        ("postgresql://h/d?channel_binding=require", "channel_binding"),
        ("postgresql://h/d?pgbouncer=true", "pgbouncer"),
        ("postgresql://h/d?connect_timeout=5s", "connect_timeout"),
        ("postgresql://h:port/d", "port"),
        ("postgresql://h:65536/d", "port"),
        ("postgresql://h:0/d", "port"),
        ("postgresql://::1/d", "IPv6"),
        ("postgresql://[::1/d", "IPv6"),
        ("postgresql://a,b,c/d?port=1,2", "ports"),
        ("postgresql://u:%ff@h/d", "%-code"),
        ("postgresql://u:hunter2/x@h/d", "%-encoded"),
        ("postgresql://u:hunter2@x@h/d", "%40"),
        ("postgresql://u:hunter2?x@h/d", "%3F"),
        ("postgresql://u:x?hunter2=1@h/d", "%3F"),
        ("postgresql://h/d?sslrootcert=/no/such/file", "sslrootcert"),
    ],
)
def test_what_is_wrong_stops_the_start_by_name_and_without_the_password(text: str, named: str) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        load_settings(database_url=text, **OTHERS)
    assert "RATCHET_DATABASE_URL" in str(refusal.value)
    assert named in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_certificate_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("")
    load_settings(database_url=f"postgresql://h/d?sslrootcert={tmp_path}/ca.crt", **OTHERS)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffd"), min_size=1))
def test_any_password_arrives_when_it_is_encoded(password: str) -> None:
    address = parse_address(f"postgresql://u:{quote(password, safe='')}@h/d")
    assert (address.password, address.hosts) == (password, (("h", 5432),))
    assert password not in address.place or len(password) < 8


@given(st.text(max_size=60))
def test_no_text_makes_anything_but_an_address_or_a_reason(text: str) -> None:
    with suppress(WrongAddress):
        parse_address(f"postgresql://{text}")
