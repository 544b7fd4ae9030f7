"""Cursors of the lists: where a page ended, opaque to the caller, and refused when they are not ours."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from admin_api.problems import Problem, ProblemType

Edge = tuple[datetime, UUID]


def encode(edge: Edge | None, *, order: str) -> str | None:
    """The cursor of the page that begins behind `edge` in this order."""
    if edge is None:
        return None
    return _pack([order, edge[0].isoformat(), str(edge[1])])


def decode(cursor: str | None, *, order: str) -> Edge | None:
    """The inverse of `encode`.

    Raises:
        Problem: 400 for anything else, also for a cursor of another order.
    """
    if cursor is None:
        return None
    try:
        kind, at, workflow_id = _unpack(cursor)
        edge = datetime.fromisoformat(at).astimezone(UTC), UUID(workflow_id)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise _not_ours() from error
    if kind != order:
        raise _not_ours()
    return edge


def encode_number(number: int | None) -> str | None:
    """The cursor of the page that begins behind a checkpoint's number."""
    return None if number is None else _pack(["seq", number])


def decode_number(cursor: str | None) -> int:
    """The inverse of `encode_number`; 0 without a cursor."""
    if cursor is None:
        return 0
    try:
        kind, number = _unpack(cursor)
    except (ValueError, TypeError) as error:
        raise _not_ours() from error
    if kind != "seq" or type(number) is not int or not 0 <= number < 2**31:
        raise _not_ours()
    return number


def encode_group(edge: tuple[int, str] | None) -> str | None:
    """The cursor of the page that begins behind a failure group."""
    return None if edge is None else _pack(["group", *edge])


def decode_group(cursor: str | None) -> tuple[int, str] | None:
    """The inverse of `encode_group`.

    Raises:
        Problem: 400 for anything else.
    """
    if cursor is None:
        return None
    try:
        kind, count, fingerprint = _unpack(cursor)
    except (ValueError, TypeError) as error:
        raise _not_ours() from error
    if kind != "group" or type(count) is not int or not 0 <= count < 2**63 or not isinstance(fingerprint, str):
        raise _not_ours()
    if "\x00" in fingerprint or not fingerprint.isascii():
        raise _not_ours()
    return count, fingerprint


def _pack(parts: list[object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _unpack(cursor: str) -> list[Any]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    value = orjson.loads(raw)
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _not_ours() -> Problem:
    return Problem(
        ProblemType.INVALID_CURSOR,
        "Use a `nextCursor` as it was given, with the same sort order, or begin again without a cursor.",
    )
