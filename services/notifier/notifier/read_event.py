"""An event as it comes from the broker, believed only after it was checked."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from ratchet.domain.errors import MalformedMessage
from ratchet.messages.commands import JsonObject, Name, explain
from ratchet.messages.envelope import MAX_MESSAGE_ID, Incoming
from ratchet.messages.events import OWNER_HEADER, STAFF_ONLY, EventType
from ratchet.notifications import NewNotification

MAX_EVENT_BYTES = 256 * 1024
"""Far beyond any event, and well below what websocket clients accept: a frame they refuse would come again for ever."""

NOBODY = "-"
"""Stands for the owner of an event that only the staff gets."""


class _Envelope(BaseModel):
    """The headers; CloudEvents attributes first, the AMQP properties where they say the same."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1, max_length=MAX_MESSAGE_ID, pattern=r"^[^\x00-\x1f\x7f]+$")
    type: EventType
    owner_id: Name
    workflow_id: UUID
    time: AwareDatetime
    data: JsonObject


def read_event(message: Incoming) -> NewNotification:
    """What to keep of an event.

    Raises:
        MalformedMessage: saying what is wrong.
    """
    data = _object(message.body)
    headers = message.headers
    kind = str(headers.get("ce-type") or message.type or message.routing_key)
    try:
        envelope = _Envelope.model_validate(
            {
                "id": headers.get("ce-id") or message.message_id,
                "type": kind,
                "owner_id": headers.get(OWNER_HEADER) or (NOBODY if kind in STAFF_ONLY else None),
                "workflow_id": headers.get("ce-subject") or data.get("workflowId"),
                "time": headers.get("ce-time") or data.get("timestamp"),
                "data": data,
            }
        )
    except ValidationError as error:
        raise MalformedMessage(explain(error)) from error
    return NewNotification(
        event_id=envelope.id,
        type=envelope.type,
        owner_id=envelope.owner_id,
        workflow_id=envelope.workflow_id,
        data=orjson.dumps(envelope.data).decode(),
        occurred_at=_within_range(envelope.time),
    )


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_EVENT_BYTES:
        raise MalformedMessage(f"body: larger than {MAX_EVENT_BYTES} bytes")
    try:
        data = orjson.loads(body)
    except ValueError as error:
        raise MalformedMessage("body: not JSON") from error
    if not isinstance(data, dict):
        raise MalformedMessage("body: not a JSON object")
    return data


def _within_range(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise MalformedMessage("time: out of range") from error
