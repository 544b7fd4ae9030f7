"""The JSON hub protocol of SignalR, as much of it as its clients need: texts in, values out, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from ratchet.notifications import Notification

RECORD_END = "\x1e"

ACCEPTED = "{}" + RECORD_END
PING = '{"type":6}' + RECORD_END


@dataclass(frozen=True, slots=True)
class Handshake:
    """The client's first record; `refusal` says why it cannot be accepted."""

    refusal: str | None


@dataclass(frozen=True, slots=True)
class Invocation:
    """The client calls a method; it waits for the result if there is an `invocation_id`."""

    target: str
    arguments: tuple[Any, ...]
    invocation_id: str | None


@dataclass(frozen=True, slots=True)
class Closed:
    """The client leaves."""


@dataclass(frozen=True, slots=True)
class Alive:
    """A ping, or something that needs no answer."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not the protocol."""


HubMessage = Invocation | Closed | Alive | Malformed


def split(frame: str | bytes) -> list[str]:
    """The records of a frame. An unfinished last one is given back as it is and will not parse."""
    text = frame.decode(errors="replace") if isinstance(frame, bytes) else frame
    return [record for record in text.split(RECORD_END) if record]


def read_handshake(record: str) -> Handshake:
    """Versions 0 and 1 are the same for what is used here; clients exist that send either."""
    try:
        content = orjson.loads(record)
        protocol, version = content["protocol"], content["version"]
    except (ValueError, TypeError, KeyError):
        return Handshake("The first message must be a SignalR handshake")
    if protocol != "json":
        return Handshake("Only the protocol 'json' is spoken here")
    return Handshake(None if version in (0, 1) else "Only version 1 of the protocol is spoken here")


def read_message(record: str) -> HubMessage:
    """One record after the handshake."""
    try:
        content = orjson.loads(record)
    except ValueError:
        return Malformed()
    if not isinstance(content, dict):
        return Malformed()
    match content.get("type"):
        case 1 | 4:
            target, arguments = content.get("target"), content.get("arguments", [])
            invocation_id = content.get("invocationId")
            if isinstance(target, str) and isinstance(arguments, list) and isinstance(invocation_id, str | None):
                return Invocation(target, tuple(arguments), invocation_id)
            return Malformed()
        case 7:
            return Closed()
        case int():
            return Alive()
        case _:
            return Malformed()


def push(notifications: Sequence[Notification]) -> str:
    """Events as invocations; a frame may hold several records."""
    return "".join(map(_invocation, notifications))


@lru_cache(maxsize=1024)
def _invocation(notification: Notification) -> str:
    rest = notification.data[1:]
    separator = "" if rest == "}" else ","
    argument = f'{{"id":{notification.seq}{separator}{rest}'
    return f'{{"type":1,"target":"{notification.type}","arguments":[{argument}]}}{RECORD_END}'


def not_recovered(position: int) -> str:
    """What should have come next is gone; events go on after `position`."""
    return f'{{"type":1,"target":"NOT_RECOVERED","arguments":[{{"after":{position}}}]}}{RECORD_END}'


def refuse(reason: str) -> str:
    """The answer to a handshake that is not accepted."""
    return orjson.dumps({"error": reason}).decode() + RECORD_END


def result(invocation_id: str, value: object) -> str:
    """The answer to an invocation."""
    return orjson.dumps({"type": 3, "invocationId": invocation_id, "result": value}).decode() + RECORD_END


def failure(invocation_id: str, error: str) -> str:
    """The answer to an invocation that could not be done."""
    return orjson.dumps({"type": 3, "invocationId": invocation_id, "error": error}).decode() + RECORD_END


def close(error: str | None) -> str:
    """The last word: with an error the client stays away, without one it reconnects."""
    # Some clients take an error for final even when reconnecting is allowed, so there is never both.
    content = {"type": 7, "allowReconnect": True} if error is None else {"type": 7, "error": error}
    return orjson.dumps(content).decode() + RECORD_END
