"""Events are CloudEvents in binary mode: headers around a plain JSON body."""

import json
import uuid
from datetime import UTC, datetime

from ratchet.messages import events
from ratchet.messages.envelope import accepted_correlation_id, iso
from ratchet.messages.events import EventType, Subject, announce

SUBJECT = Subject(uuid.UUID(int=5), "sarah", "c-1")
AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def test_an_event_names_itself_its_subject_and_its_owner_in_headers() -> None:
    message = announce(events.plain(EventType.COMPLETED), SUBJECT, event_id="e-1", at=AT)
    assert (message.route.exchange, message.route.routing_key) == ("ratchet.events", "WORKFLOW_COMPLETED")
    assert message.headers["ce-type"] == "WORKFLOW_COMPLETED"
    assert message.headers["ce-specversion"] == "1.0"
    assert message.headers["ce-id"] == message.message_id == "e-1"
    assert message.headers["ce-subject"] == str(SUBJECT.workflow_id)
    assert message.headers["ce-ownerid"] == "sarah"


def test_a_given_up_step_says_what_can_be_done() -> None:
    event = events.step_failed("ship", reason="r", message=events.EXHAUSTED, can_skip=True)
    data = json.loads(announce(event, SUBJECT, event_id="e", at=AT).body)
    assert data == {
        "workflowId": str(SUBJECT.workflow_id),
        "stepName": "ship",
        "reason": "r",
        "message": "Step failed after multiple attempts",
        "canRetry": True,
        "canSkip": True,
        "timestamp": "2026-11-24T12:00:00Z",
    }


def test_a_retry_is_told_with_its_number_and_time() -> None:
    data = events.step_retrying("ship", retry=2, limit=3, next_attempt_at=AT, reason="r").data
    assert (data["attempt"], data["maxAttempts"], data["nextAttemptAt"]) == (2, 3, iso(AT))


def test_a_dirty_correlation_id_is_replaced() -> None:
    assert accepted_correlation_id("a.B_c:d-1", "new") == "a.B_c:d-1"
    for dirty in (None, "", "a b", "a\r\nb", "x" * 129, "ü"):
        assert accepted_correlation_id(dirty, "new") == "new"
