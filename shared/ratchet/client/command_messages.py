"""Commands as messages, checked before they are sent: the broker takes anything, and the receiver would park it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

from pydantic import ValidationError

from ratchet.client.errors import InvalidCommand
from ratchet.client.http_calls import correlation_id_or_new
from ratchet.messages.commands import MAX_BULK, StartWorkflow, WireModel, encode, explain
from ratchet.messages.envelope import MAX_BODY_BYTES, MAX_MESSAGE_ID, Outgoing
from ratchet.messages.routes import COMMANDS, Route

BULK_BYTES = 4 * 1024 * 1024
"""A bulk message is closed at this size: far below the limit, so that its confirm does not take long."""

Wire = TypeVar("Wire", bound=WireModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What travels beside a command. A new message id and correlation id are made where none is given.

    `traceparent` is a W3C trace context, so that the command's way can be followed from the caller on.
    """

    message_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The broker has taken a command. `workflow_ids` has one member, or those of a bulk start in order."""

    message_id: str
    correlation_id: str
    workflow_ids: tuple[UUID, ...]

    @property
    def workflow_id(self) -> UUID:
        """The workflow of a command that is about one."""
        return self.workflow_ids[0]


def checked(kind: type[Wire], **members: Any) -> Wire:
    """The command.

    Raises:
        InvalidCommand: saying which member is wrong and why.
    """
    try:
        return kind(**members)
    except ValidationError as error:
        raise InvalidCommand(f"{kind.__name__} would be parked: {explain(error)}") from error


def message(routing_key: str, kind: str, body: bytes, envelope: Envelope) -> Outgoing:
    """The command in its envelope.

    Raises:
        InvalidCommand: the body is larger than a receiver takes, or an id is none.
    """
    message_id = str(uuid4()) if envelope.message_id is None else envelope.message_id
    if not 1 <= len(message_id.encode()) <= MAX_MESSAGE_ID:
        raise InvalidCommand(f"A message id has 1 to {MAX_MESSAGE_ID} bytes")
    return Outgoing(
        route=Route(COMMANDS, routing_key),
        message_id=message_id,
        type=kind,
        body=body,
        correlation_id=correlation_id_or_new(envelope.correlation_id),
        headers={} if envelope.traceparent is None else {"traceparent": envelope.traceparent},
    )


def single(command: WireModel) -> bytes:
    """The body of one command.

    Raises:
        InvalidCommand: it is too large.
    """
    body = encode(command)
    if len(body) > MAX_BODY_BYTES:
        raise InvalidCommand(f"{type(command).__name__} has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken")
    return body


def bulks(starts: Iterable[StartWorkflow]) -> Iterator[tuple[tuple[UUID, ...], bytes]]:
    """The starts as bodies of bulk messages, each with the ids in it, in order.

    Raises:
        InvalidCommand: one start is too large to stand alone.
    """
    ids: list[UUID] = []
    parts: list[bytes] = []
    size = 0
    for start in starts:
        part = single(start)
        if ids and (len(ids) == MAX_BULK or size + len(part) > BULK_BYTES):
            yield tuple(ids), _array(parts)
            ids, parts, size = [], [], 0
        ids.append(start.workflow_id)
        parts.append(part)
        size += len(part)
    if ids:
        yield tuple(ids), _array(parts)


def _array(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"
