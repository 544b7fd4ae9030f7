"""A checkpoint's integrity: a checksum over its content and its position."""

import hashlib
from typing import Any, NamedTuple
from uuid import UUID

MAX_STATE_BYTES = 1024 * 1024
MAX_DEPTH = 100


class Position(NamedTuple):
    """Where a checkpoint belongs. It is part of the checksum, so a valid checkpoint moved elsewhere fails."""

    workflow_id: UUID
    seq: int
    step_index: int
    step_id: str


def checksum(position: Position, content: bytes) -> bytes:
    """SHA-256 over position and canonical content (see `ratchet.state.canonical`)."""
    place = f"{position.workflow_id}\n{position.seq}\n{position.step_index}\n{position.step_id}\n"
    return hashlib.sha256(place.encode() + content).digest()


def is_intact(position: Position, content: bytes, expected: bytes) -> bool:
    """Whether the content still matches its checksum."""
    return checksum(position, content) == expected


def depth_of(value: Any) -> int:
    """How many containers are nested in `value`; a plain value has depth 0."""
    deepest, waiting = 0, [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, dict | list | tuple):
            deepest = max(deepest, depth + 1)
            children = item.values() if isinstance(item, dict) else item
            waiting.extend((child, depth + 1) for child in children)
    return deepest


def input_checksum(workflow_id: UUID, content: bytes) -> bytes:
    """The checksum of a workflow's canonical input: it stands before every checkpoint."""
    return checksum(Position(workflow_id, 0, -1, ""), content)


def is_intact_input(workflow_id: UUID, content: bytes, expected: bytes | None) -> bool:
    """Whether the input is what was accepted; one that was kept before there were checksums is believed."""
    return expected is None or input_checksum(workflow_id, content) == expected
