"""A workflow's state as JSON: what can be kept, and one canonical form of it for checksums."""

import math
from typing import Any, NamedTuple

import orjson

from ratchet import exact_json
from ratchet.domain.checkpoint import MAX_DEPTH, MAX_STATE_BYTES, depth_of
from ratchet.domain.errors import StateNotStorable

_ORJSON_MIN, _ORJSON_MAX = -(2**63), 2**64 - 1


class EncodedState(NamedTuple):
    """A value that can be kept: its JSON text, and the value as that text reads back."""

    text: bytes
    value: Any


def read_back(state: Any) -> EncodedState:
    """Encode a value, and see it as the next step will.

    Raises:
        StateNotStorable: for what JSON or Postgres cannot keep: other types, NaN, NUL characters, lone surrogates,
            integers of more than 4,300 digits, more than 100 levels, more than 1 MiB.
    """
    try:
        return _checked(exact_json.dumps(state))
    except RecursionError as error:
        raise StateNotStorable(f"The value is nested deeper than {MAX_DEPTH} levels") from error
    except UnicodeEncodeError as error:
        raise StateNotStorable("The value holds half of a surrogate pair, which is no text") from error
    except (TypeError, ValueError) as error:
        raise StateNotStorable(f"The value is not JSON: {error}") from error


def encode_state(state: Any) -> bytes:
    """The JSON text of a value; raises like `read_back`."""
    return read_back(state).text


def decode_state(text: str) -> Any:
    """The value of a JSON text that was kept, integers of any size included."""
    return exact_json.loads_own(text)


def canonical(state: Any) -> bytes:
    """One byte string per JSON value, the same before a trip through Postgres' jsonb and after it.

    jsonb reorders keys and writes numbers its own way (1e22 comes back as an integer, -0.0 as 0.0), so whole numbers
    are written as integers here, whatever type they had. Whole floats end in .0 or hold e+ in orjson's text; other text
    that looks so only costs a closer look.
    """
    try:
        text = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits
        text = b""
    if text and not (b".0" in text or b"e+" in text):
        return text
    return orjson.dumps(_with_whole_numbers(state), option=orjson.OPT_SORT_KEYS)


def _checked(text: bytes) -> EncodedState:
    if len(text) > MAX_STATE_BYTES:
        raise StateNotStorable(f"The value is {len(text)} bytes of JSON; at most {MAX_STATE_BYTES} can be kept")
    value = exact_json.loads_own(text.decode())
    if b"\\u0000" in text and _holds_nul(value):
        raise StateNotStorable("The value holds a NUL character, which Postgres cannot store")
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise StateNotStorable(f"The value is nested deeper than {MAX_DEPTH} levels")
    return EncodedState(text, value)


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and "\x00" in item:
            return True
        if isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not _ORJSON_MIN <= value <= _ORJSON_MAX:
        return ["integer", str(value)]
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_whole_numbers(item) for item in value]
    return value
