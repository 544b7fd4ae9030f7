"""What shows that a message which was sent again has been acted on."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

CARRIED_OUT = "carried-out"
PARKED_AGAIN = "parked-again"
SENT = "sent"
"""Nothing would show it: an event, or an internal wake-up call."""
UNKNOWN = "unknown"
"""Nothing has shown it for a day."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """Workflows that have to exist; with a `step`, its inputs in the one; without any, an answer to the command."""

    workflows: tuple[UUID, ...] = ()
    step: str | None = None


def awaited_of(routing_key: str, body: bytes) -> Awaited | None:
    """What has to be there afterwards; None for what leaves no trace.

    Of an array, what cannot be understood is parked by itself and is not waited for.
    """
    if routing_key.startswith("recovery.") and routing_key != "recovery.RestartScan":
        return Awaited()
    if routing_key not in {"workflow.start", "step.execute"}:
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    members = content if isinstance(content, list) else [content]
    ids = tuple(found for member in members if (found := _id_of(member)) is not None)
    if not ids:
        return None
    if routing_key == "workflow.start":
        return Awaited(ids)
    step = content.get("stepId") if isinstance(content, dict) else None
    return Awaited(ids, step) if isinstance(step, str) and "\x00" not in step else None


def _id_of(member: Any) -> UUID | None:
    try:
        return UUID(member["workflowId"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
