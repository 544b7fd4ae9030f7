"""An event from the broker: what is taken from headers and body, and what makes it unfit to be kept."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from notifier.read_event import MAX_EVENT_BYTES, NOBODY, read_event
from ratchet.domain.errors import MalformedMessage
from ratchet.messages import events
from ratchet.messages.envelope import Incoming
from ratchet.messages.events import EventType, Subject

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
WORKFLOW = uuid4()


async def nothing() -> None: ...


def incoming(headers: dict[str, Any] | None = None, body: bytes | None = None, **changes: Any) -> Incoming:
    sent = events.announce(events.plain(EventType.PAUSED), Subject(WORKFLOW, "sarah", "c"), event_id="event-1", at=AT)
    fields: dict[str, Any] = {
        "body": sent.body if body is None else body,
        "message_id": sent.message_id,
        "correlation_id": "c",
        "type": sent.type,
        "exchange": "ratchet.events",
        "routing_key": sent.type,
        "redelivered": False,
        "headers": {**sent.headers, **(headers or {})},
        "acknowledge": nothing,
    }
    return Incoming(**{name: value for name, value in (fields | changes).items() if name in Incoming.__slots__})


def test_an_event_as_the_platform_sends_it_is_kept_with_everything() -> None:
    event = read_event(incoming())
    assert event.event_id == "event-1"
    assert event.type is EventType.PAUSED
    assert event.owner_id == "sarah"
    assert event.workflow_id == WORKFLOW
    assert event.occurred_at == AT
    assert orjson.loads(event.data)["workflowId"] == str(WORKFLOW)
    assert event.feeds == ("all", "user:sarah")


def test_without_cloudevents_headers_the_properties_and_the_body_are_enough() -> None:
    event = read_event(incoming(headers={"ce-id": None, "ce-type": None, "ce-subject": None, "ce-time": None}))
    assert (event.event_id, event.type, event.workflow_id, event.occurred_at) == (
        "event-1",
        EventType.PAUSED,
        WORKFLOW,
        AT,
    )


def test_what_only_the_staff_gets_needs_no_owner() -> None:
    event = read_event(incoming(headers={"ce-type": "WORKFLOW_NEEDS_ATTENTION", "ce-ownerid": None}))
    assert event.owner_id == NOBODY
    assert event.feeds == ("all",)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"ce-type": "WORKFLOW_UNHEARD_OF"}, None),
        ({"ce-type": ["WORKFLOW_PAUSED"]}, None),
        ({"ce-type": {"a": 1}}, None),
        ({"ce-id": {"a": 1}}, None),
        ({"ce-ownerid": datetime(2026, 1, 1, tzinfo=UTC)}, None),
        ({"ce-subject": Decimal(1)}, None),
        ({"ce-ownerid": None}, None),
        ({"ce-ownerid": ""}, None),
        ({"ce-ownerid": "a\nb"}, None),
        ({"ce-ownerid": 17}, None),
        ({"ce-subject": "no-uuid"}, None),
        ({"ce-time": "yesterday"}, None),
        ({"ce-time": "2026-01-01T00:00:00"}, None),
        ({"ce-time": "0001-01-01T00:00:00+10:00"}, None),
        ({"ce-id": "x" * 256}, None),
        ({"ce-id": "a\x00b"}, None),
        ({}, b""),
        ({}, b"{"),
        ({}, b"[]"),
        ({}, b'{"a": NaN}'),
        ({}, b'{"a": "\\u0000"}'),
        ({}, b'{"a": "\\ud800"}'),
        ({}, b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"),
        ({}, b" " * (MAX_EVENT_BYTES + 1)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_event_that_could_not_be_kept_or_shown_is_malformed(headers: dict[str, Any], body: bytes | None) -> None:
    with pytest.raises(MalformedMessage):
        read_event(incoming(headers, body))


def test_an_id_is_needed() -> None:
    with pytest.raises(MalformedMessage, match="id"):
        read_event(incoming(headers={"ce-id": None}, message_id=None))


def test_a_workflow_id_in_the_body_alone_is_enough() -> None:
    body = orjson.dumps({"workflowId": str(UUID(int=5))})
    assert read_event(incoming(headers={"ce-subject": None}, body=body)).workflow_id == UUID(int=5)
