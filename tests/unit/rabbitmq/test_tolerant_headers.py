"""Properties are read whatever is in them; what cannot be read costs itself and nothing else."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.header import ContentHeader
from ratchet.adapters.rabbitmq.tolerant_headers import Properties

NAMES = tuple(Properties.__slots__)
SHORT = st.binary(max_size=255).map(lambda raw: bytes([len(raw)]) + raw)
# Field types of AMQP 0-9-1, and some that nobody has defined, with contents of any kind.
FIELDS = st.lists(
    st.tuples(st.binary(max_size=20), st.sampled_from(b"tbBUuIiLlfdDsSATVxFZ"), st.binary(max_size=40)), max_size=4
)
TABLE = FIELDS.map(lambda fields: b"".join(bytes([len(n)]) + n + bytes([kind]) + raw for n, kind, raw in fields)).map(
    lambda content: struct.pack(">I", len(content)) + content
)
BYTES: dict[str, Any] = {
    "shortstr": SHORT,
    "table": TABLE,
    "octet": st.binary(min_size=1, max_size=1),
    "timestamp": st.binary(min_size=8, max_size=8),
}


@st.composite
def property_lists(draw: st.DrawFn) -> dict[str, bytes]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return {name: draw(BYTES[getattr(Properties, f"_{name}")]) for name in NAMES if name in names}


def header_of(parts: dict[str, bytes], size: int = 17) -> ContentHeader:
    flags = sum(Properties.flags[name] for name in parts)
    header = ContentHeader()
    header.unmarshal(struct.pack(">HHQH", 60, 0, size, flags) + b"".join(parts.values()))
    return header


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


@given(property_lists())
def test_no_properties_that_can_be_sent_fail_to_be_read(parts: dict[str, bytes]) -> None:
    header = header_of(parts)
    assert header.body_size == 17
    assert header.properties.delivery_mode in {None, 1, 2}
    message_id = header.properties.message_id
    assert message_id is None or message_id.encode() == parts["message_id"][1:]


@given(property_lists(), st.integers(0, 40))
def test_nor_do_those_that_are_cut_off(parts: dict[str, bytes], missing: int) -> None:
    flags = sum(Properties.flags[name] for name in parts)
    data = b"".join(parts.values())
    Properties().unmarshal(flags, data[: max(0, len(data) - missing)])


@pytest.mark.parametrize("timestamp", [2**63, 1_700_000_000_000_000, 1_700_000_000_000_000_000])
def test_a_timestamp_in_another_unit_costs_only_itself(timestamp: int) -> None:
    parts = {"message_id": short(b"m-1"), "timestamp": struct.pack(">Q", timestamp), "message_type": short(b"T")}
    read = header_of(parts).properties
    assert (read.message_id, read.message_type, read.timestamp) == ("m-1", "T", None)


def test_a_correlation_id_in_latin_1_is_told_without_what_is_no_ascii() -> None:
    read = header_of({"correlation_id": short("bestätigt".encode("latin-1")), "message_id": short(b"m-1")}).properties
    assert (read.correlation_id, read.message_id) == ("best?tigt", "m-1")


def test_a_message_id_that_is_no_text_is_none_rather_than_that_of_another_message() -> None:
    assert header_of({"message_id": short(b"\xe9\xe8")}).properties.message_id is None
