"""A message as the bytes that publish it: AMQP 0-9-1 frames, written without an object for each field.

pamqp builds the same bytes from objects, which takes longer than all else that happens to a published message here. The
layout is that of the AMQP 0-9-1 specification, sections 2.3.5 and 4.2; a property test reads the bytes back with pamqp.
"""

import struct
from functools import lru_cache
from typing import Any

from aiormq import spec
from aiormq.abc import ChannelFrame
from pamqp.encode import encode_table_value

from ratchet.messages.envelope import Outgoing

HEADER_FRAME, BODY_FRAME, END = 2, 3, b"\xce"
BASIC_CLASS = 60

# The flags of the properties that every message of ours has, in the order in which they are written.
CONTENT_TYPE, HEADERS, DELIVERY_MODE, CORRELATION_ID = 1 << 15, 1 << 13, 1 << 12, 1 << 10
EXPIRATION, MESSAGE_ID, TIMESTAMP, TYPE, APP_ID = 1 << 8, 1 << 7, 1 << 6, 1 << 5, 1 << 3
ALWAYS = CONTENT_TYPE | HEADERS | DELIVERY_MODE | CORRELATION_ID | MESSAGE_ID | TIMESTAMP | TYPE | APP_ID

PERSISTENT = b"\x02"

USUAL_LIMIT = 131_072 - 8
"""What fits into the largest frame that RabbitMQ agrees to unless it is told otherwise."""

_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQH")
_LENGTH = struct.Struct(">I")
_SECONDS = struct.Struct(">Q")


def frames_of(message: Outgoing, channel: int, *, body_limit: int, at: int, header_limit: int = USUAL_LIMIT) -> bytes:
    """All frames of one mandatory, persistent publish. `at` is in seconds since 1970, the limits in bytes a frame.

    Raises:
        ValueError: a name or id is longer than 255 bytes, or the headers are larger than a frame.
    """
    header = _content_header(message, at)
    if len(header) > header_limit:
        # The broker would end the connection, and with it what others publish.
        raise ValueError(f"{len(header)} bytes of properties and headers are too many for a frame")
    pieces = [_method(channel, message.route.exchange, message.route.routing_key)]
    pieces += (_FRAME.pack(HEADER_FRAME, channel, len(header)), header, END)
    for first in range(0, len(message.body), body_limit):
        part = message.body[first : first + body_limit]
        pieces += (_FRAME.pack(BODY_FRAME, channel, len(part)), part, END)
    return b"".join(pieces)


@lru_cache(maxsize=1024)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
    return ChannelFrame.marshall(channel_number=channel, frames=[publish]).payload


def _content_header(message: Outgoing, at: int) -> bytes:
    table = b"".join([_field(name, value) for name, value in message.headers.items()])
    flags, expiration = ALWAYS, b""
    if message.delay is not None:
        flags |= EXPIRATION
        expiration = _short(str(max(1, round(message.delay.total_seconds() * 1000))))
    return b"".join(
        (
            _CONTENT.pack(BASIC_CLASS, 0, len(message.body), flags),
            _known("application/json"),
            _LENGTH.pack(len(table)),
            table,
            PERSISTENT,
            _short(message.correlation_id),
            expiration,
            _short(message.message_id),
            _SECONDS.pack(at),
            _known(message.type),
            _known("ratchet"),
        )
    )


def _field(name: str, value: Any) -> bytes:
    if type(value) is str:
        text = value.encode()
        return _known(name) + b"S" + _LENGTH.pack(len(text)) + text
    return _known(name) + encode_table_value(value)


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"{len(encoded)} bytes are too long for a name or an id in AMQP: at most 255")
    return bytes((len(encoded),)) + encoded


_known = lru_cache(maxsize=1024)(_short)
"""For the few texts that come again and again."""
