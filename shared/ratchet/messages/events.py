"""The events: what Ratchet tells the world, as CloudEvents 1.0 in binary mode with a plain JSON body."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from ratchet.messages.envelope import Outgoing, iso
from ratchet.messages.routes import EVENTS, Route


class EventType(StrEnum):
    """Every event's name: `ce-type`, routing key, and `type` of the pushed message."""

    STEP_RETRYING = "WORKFLOW_STEP_RETRYING"
    STEP_FAILED = "WORKFLOW_STEP_FAILED"
    STEP_SKIPPED = "WORKFLOW_STEP_SKIPPED"
    RECOVERED = "WORKFLOW_RECOVERED"
    RECOVERY_FAILED = "WORKFLOW_RECOVERY_FAILED"
    RECOVERY_VERIFIED = "WORKFLOW_RECOVERY_VERIFIED"
    RECOVERY_RELAPSED = "WORKFLOW_RECOVERY_RELAPSED"
    NEEDS_ATTENTION = "WORKFLOW_NEEDS_ATTENTION"
    COMPLETED = "WORKFLOW_COMPLETED"
    CANCELLED = "WORKFLOW_CANCELLED"
    PAUSED = "WORKFLOW_PAUSED"
    RESUMED = "WORKFLOW_RESUMED"


STAFF_ONLY = frozenset({EventType.NEEDS_ATTENTION, EventType.RECOVERY_VERIFIED, EventType.RECOVERY_RELAPSED})
"""Events that go to support and admins. Its owner hears of the same from the workflow's own course."""

OWNER_HEADER = "ce-ownerid"


@dataclass(frozen=True, slots=True)
class Subject:
    """The workflow an event is about."""

    workflow_id: UUID
    owner_id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event before it is put into an envelope; `data` lacks only `workflowId` and `timestamp`."""

    type: EventType
    data: dict[str, Any]


EXHAUSTED = "Step failed after multiple attempts"
PERMANENT = "Step failed"
POISON = "Step stopped its process repeatedly"


def step_retrying(
    step_name: str, *, retry: int, limit: int, next_attempt_at: datetime, reason: str, late: bool = False
) -> Event:
    """A transient failure is followed by retry number `retry` of `limit`; `late` corrects a time that was not kept."""
    data = {
        "stepName": step_name,
        "attempt": retry,
        "maxAttempts": limit,
        "nextAttemptAt": iso(next_attempt_at),
        "reason": reason,
    }
    return Event(EventType.STEP_RETRYING, data | {"late": True} if late else data)


def step_failed(step_name: str, *, reason: str, message: str, can_skip: bool) -> Event:
    """A step was given up; its owner may retry it, and skip it if it is optional."""
    data = {"stepName": step_name, "reason": reason, "message": message, "canRetry": True, "canSkip": can_skip}
    return Event(EventType.STEP_FAILED, data)


def recovered(*, resumed_from: datetime | None, resumed_step: str | None, reason: str | None = None) -> Event:
    """A workflow goes on from its checkpoint (from its input when `resumed_from` is None)."""
    data: dict[str, Any] = {
        "resumedFrom": None if resumed_from is None else iso(resumed_from),
        "resumedStep": resumed_step,
    }
    return Event(EventType.RECOVERED, data if reason is None else data | {"reason": reason})


def recovery_failed(*, resumed_from: datetime | None, reason: str) -> Event:
    """A recovery was tried and did not succeed."""
    data = {"resumedFrom": None if resumed_from is None else iso(resumed_from), "reason": reason}
    return Event(EventType.RECOVERY_FAILED, data)


def recovery_verified(recovery_id: str, *, step: str) -> Event:
    """The step that had failed has passed: the recovery helped."""
    return Event(EventType.RECOVERY_VERIFIED, {"recoveryId": recovery_id, "stepName": step})


def recovery_relapsed(recovery_id: str, *, step: str, reason: str) -> Event:
    """The workflow failed or was interrupted again before that step had passed."""
    return Event(EventType.RECOVERY_RELAPSED, {"recoveryId": recovery_id, "stepName": step, "reason": reason})


def needs_attention(reason: str) -> Event:
    """Nothing automatic is left to try: a person has to look."""
    return Event(EventType.NEEDS_ATTENTION, {"reason": reason})


def plain(event_type: EventType, **data: Any) -> Event:
    """An event that carries little more than its name."""
    return Event(event_type, data)


def announce(event: Event, subject: Subject, *, event_id: str, at: datetime) -> Outgoing:
    """Put an event into its envelope. The same `event_id` again is the same event."""
    workflow_id, time = str(subject.workflow_id), iso(at)
    data = {"workflowId": workflow_id, **event.data, "timestamp": time}
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": "/ratchet",
        "ce-type": event.type.value,
        "ce-subject": workflow_id,
        "ce-time": time,
        "ce-correlationid": subject.correlation_id,
        OWNER_HEADER: subject.owner_id,
    }
    return Outgoing(
        route=Route(EVENTS, event.type.value),
        message_id=event_id,
        type=event.type.value,
        body=orjson.dumps(data),
        correlation_id=subject.correlation_id,
        headers=headers,
    )
