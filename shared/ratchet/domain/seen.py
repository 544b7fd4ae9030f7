"""What a person saw of a workflow before acting on it, so that nobody acts on a failure that is another one by now."""

import hashlib
from datetime import datetime

from ratchet.domain.workflow import LIVE, WorkflowStatus


def mark_of(status: WorkflowStatus, current_step: str | None, last_seq: int, failed_at: datetime | None) -> str:
    """Names the state that actions depend on; as an entity tag it stands between double quotes.

    All live states have the same mark: they move while one looks. What is looked after a moment later (a flag that a
    person is needed) changes nothing in it.
    """
    seen: list[object] = [status.value, current_step, last_seq, None if failed_at is None else failed_at.timestamp()]
    return hashlib.sha256(repr("live" if status in LIVE else seen).encode()).hexdigest()[:16]


def is_meant(if_match: str, mark: str) -> bool:
    """Whether a list of entity tags, as `If-Match` has it, names this mark."""
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    return "*" in tags or mark in tags
