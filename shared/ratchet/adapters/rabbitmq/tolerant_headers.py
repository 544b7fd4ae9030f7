"""Reading whatever properties an AMQP client may send: what cannot be read is left out, and nothing else suffers.

pamqp raises on a timestamp beyond the year 9999 (one in microseconds, say), on short strings that are not UTF-8, and on
tables with contents it does not know. aiormq reads them where it reads the connection, so such an error tears down the
connection, with every delivery on it, each time the message comes again. RabbitMQ passes all of these on.

Importing this module teaches pamqp to go on behind a property that it cannot read: each says how long it is (AMQP
0-9-1, sections 2.3.5.2 and 4.2.5).
"""

import struct
from typing import Any

from pamqp import commands, decode

Properties = commands.Basic.Properties

PERSISTENT = 2
_MODES = frozenset({None, 1, PERSISTENT})
_FIXED = {"octet": 1, "timestamp": 8}

_strictly = Properties.unmarshal


def read(properties: Properties, flags: int, data: bytes) -> None:
    """What `Properties.unmarshal` does; never raises. A message id that cannot be read is none."""
    try:
        _strictly(properties, flags, data)
    except Exception:  # whatever pamqp has with it, the other properties and the body are there
        _leniently(properties, flags, data)
    if properties.delivery_mode not in _MODES:  # aio-pika knows two
        properties.delivery_mode = PERSISTENT


def _leniently(properties: Properties, flags: int, data: bytes) -> None:
    for name in properties.__slots__:
        value: Any = None
        kind = getattr(Properties, f"_{name}")
        if flags & Properties.flags[name]:
            length = _length(kind, data)
            value = None if length is None else _value(name, kind, data[:length])
            # What is cut off has no end, so nothing can follow.
            data = b"" if length is None else data[length:]
        setattr(properties, name, value)


def _length(kind: str, data: bytes) -> int | None:
    try:
        match kind:
            case "shortstr":
                length = 1 + data[0]
            case "table":
                length = 4 + int(struct.unpack_from(">I", data)[0])
            case _:
                length = _FIXED[kind]
    except (IndexError, struct.error):
        return None
    return length if length <= len(data) else None


def _value(name: str, kind: str, data: bytes) -> Any:
    try:
        return decode.by_type(data, kind)[1]
    except Exception:  # see above
        # A message id tells messages apart, so one that is only nearly right is worse than none.
        if kind == "shortstr" and name != "message_id":
            return data[1:].decode("ascii", "replace").replace("\ufffd", "?")
        return {} if kind == "table" else None


Properties.unmarshal = read  # type: ignore[assignment, method-assign]  # aiormq calls it by itself: no other way in
