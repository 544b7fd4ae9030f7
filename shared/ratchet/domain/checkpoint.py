"""A checkpoint's integrity: a checksum over its content and its position."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ratchet.domain.errors import StateNotStorable

MAX_STATE_BYTES = 1024 * 1024
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Position:
    """Where a checkpoint belongs. It is part of the checksum, so a valid checkpoint moved elsewhere fails."""

    workflow_id: UUID
    seq: int
    step_index: int
    step_id: str


def encode_state(state: Any) -> str:
    """The JSON text of a step's result.

    Raises:
        StateNotStorable: for what JSON or Postgres cannot keep: other types, NaN, NUL characters, lone surrogates,
            more than 100 levels, more than 1 MiB.
    """
    try:
        text = json.dumps(state, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except RecursionError as error:
        raise StateNotStorable(f"The step's result is nested deeper than {MAX_DEPTH} levels") from error
    except UnicodeEncodeError as error:
        raise StateNotStorable("The step's result holds half of a surrogate pair, which is no text") from error
    except (TypeError, ValueError) as error:
        raise StateNotStorable(f"The step's result is not JSON: {error}") from error
    if "\\u0000" in text and _holds_nul(state):
        raise StateNotStorable("The step's result holds a NUL character, which Postgres cannot store")
    if size > MAX_STATE_BYTES:
        raise StateNotStorable(f"The step's result is {size} bytes; at most {MAX_STATE_BYTES} can be kept")
    if text.count("[") + text.count("{") > MAX_DEPTH and depth_of(state) > MAX_DEPTH:
        raise StateNotStorable(f"The step's result is nested deeper than {MAX_DEPTH} levels")
    return text


def checksum(position: Position, state: Any) -> bytes:
    """SHA-256 over position and content, the same before a trip through Postgres' jsonb and after it."""
    place = f"{position.workflow_id}\n{position.seq}\n{position.step_index}\n{position.step_id}\n"
    return hashlib.sha256(place.encode() + canonical(state)).digest()


def is_intact(position: Position, state: Any, expected: bytes) -> bool:
    """Whether the content still matches its checksum."""
    return checksum(position, state) == expected


def canonical(state: Any) -> bytes:
    """One byte string per JSON value.

    jsonb reorders keys and writes numbers its own way (1e22 comes back as an integer, -0.0 as 0.0), so whole numbers
    are written as integers here, whatever type they had.
    """
    text = json.dumps(state, sort_keys=True, separators=(",", ":"))
    if _may_hold_float(text):
        text = json.dumps(_without_whole_floats(state), sort_keys=True, separators=(",", ":"))
    return text.encode()


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


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and "\x00" in item:
            return True
        if isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    return False


def _may_hold_float(text: str) -> bool:
    return "." in text or "e+" in text or "e-" in text


def _without_whole_floats(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _without_whole_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_whole_floats(item) for item in value]
    return value
