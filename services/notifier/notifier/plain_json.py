"""The plain JSON of `/ws`: what a notification looks like, and what a client may say."""

from dataclasses import dataclass
from functools import lru_cache

import orjson
from ratchet.messages.envelope import iso
from ratchet.notifications import Notification

from notifier.admit import MAX_POSITION


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The client has everything up to `position`."""

    position: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """JSON that means nothing here."""


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Not even a JSON object."""


ClientMessage = Acknowledged | Unknown | Nonsense


@lru_cache(maxsize=1024)
def frame(notification: Notification) -> str:
    """One event; made once for however many sockets it goes to."""
    return (
        f'{{"id":{notification.seq},"type":"{notification.type}",'
        f'"time":"{iso(notification.occurred_at)}","data":{notification.data}}}'
    )


def not_recovered(position: int) -> str:
    """What should have come next is gone; events go on after `position`."""
    return f'{{"type":"NOT_RECOVERED","data":{{"after":{position}}}}}'


def subscribed(position: int) -> str:
    """Events come from after `position` on; for clients that asked for a cursor before the first event."""
    return f'{{"type":"SUBSCRIBED","data":{{"after":{position}}}}}'


def ignored(why: str) -> str:
    """The client's last message changed nothing."""
    return orjson.dumps({"type": "IGNORED", "data": {"reason": why}}).decode()


def read_client_message(message: str | bytes) -> ClientMessage:
    """What the client says."""
    try:
        content = orjson.loads(message)
    except ValueError:
        return Nonsense()
    if isinstance(message, bytes) or not isinstance(content, dict):
        return Nonsense()
    position = read_position(content.get("ack"))
    return Unknown() if position is None else Acknowledged(position)


def read_position(value: object) -> int | None:
    """A position as a client sent it, cut to what can be stored; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        return None
    # The parser makes floats of the largest numbers.
    return MAX_POSITION if value > MAX_POSITION else int(value)
