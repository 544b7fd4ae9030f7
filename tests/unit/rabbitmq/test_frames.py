"""What we write as bytes is what pamqp reads, for any message."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from ratchet.adapters.rabbitmq.frames import frames_of
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import Route

CHANNEL = 3
AT = 1_700_000_000

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60)
keys = st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True)
values = st.one_of(names, st.integers(-(2**31), 2**31 - 1), st.booleans())
messages = st.builds(
    Outgoing,
    route=st.builds(Route, exchange=keys, routing_key=keys),
    message_id=names,
    type=keys,
    body=st.binary(max_size=300),
    correlation_id=names,
    headers=st.dictionaries(keys, values, max_size=8),
    delay=st.none() | st.timedeltas(timedelta(milliseconds=1), timedelta(hours=1)),
)


def read(payload: bytes) -> list[Any]:
    frames = []
    while payload:
        length = 8 + struct.unpack(">I", payload[3:7])[0]
        _consumed, channel, frame = pamqp.frame.unmarshal(payload[:length])
        assert channel == CHANNEL
        frames.append(frame)
        payload = payload[length:]
    return frames


@given(messages, st.integers(1, 400))
def test_a_message_reads_back_as_it_was(message: Outgoing, body_limit: int) -> None:
    publish, header, *bodies = read(frames_of(message, CHANNEL, body_limit=body_limit, at=AT))
    found = header.properties
    assert (publish.exchange, publish.routing_key) == (message.route.exchange, message.route.routing_key)
    assert publish.mandatory
    assert (found.message_id, found.message_type) == (message.message_id, message.type)
    assert (found.correlation_id, found.headers) == (message.correlation_id, message.headers)
    assert (found.content_type, found.app_id, found.delivery_mode) == ("application/json", "ratchet", 2)
    assert found.timestamp == datetime.fromtimestamp(AT, UTC)
    assert all(isinstance(body, ContentBody) and len(body.value) <= body_limit for body in bodies)
    assert b"".join(body.value for body in bodies) == message.body
    assert header.body_size == len(message.body)


@given(messages)
def test_a_delay_is_the_messages_expiration_in_milliseconds(message: Outgoing) -> None:
    header = read(frames_of(message, CHANNEL, body_limit=400, at=AT))[1]
    if message.delay is None:
        assert header.properties.expiration is None
    else:
        assert abs(int(header.properties.expiration) - message.delay.total_seconds() * 1000) <= 1


def test_an_id_that_amqp_cannot_carry_is_refused() -> None:
    message = Outgoing(Route("x", "y"), "i" * 256, "t", b"", "c")
    with pytest.raises(ValueError, match="at most 255"):
        frames_of(message, CHANNEL, body_limit=400, at=AT)


def test_headers_that_fit_into_no_frame_are_refused_before_they_cost_everybody_the_connection() -> None:
    message = Outgoing(Route("x", "y"), "i", "t", b"", "c", headers={"big": "h" * 140_000})
    with pytest.raises(ValueError, match="too many for a frame"):
        frames_of(message, CHANNEL, body_limit=131_064, at=AT)
