"""JSON whose numbers mean the same on both sides: exactly what was sent, or refused with its name.

orjson makes floats of integers beyond 64 bits, and every reader makes 0.1234567890123456789 shorter than it was. The
ordinary text is still read by orjson; only what could have been changed by it is looked at again, more slowly.
"""

import dataclasses
import json
import math
import re
from decimal import Decimal
from typing import Any, NoReturn

import orjson

MAX_DIGITS = 4300
"""Of an integer: Python's own limit, against texts that take minutes to read."""

SIGNIFICANT_DIGITS = 17
"""As many as tell any two numbers of 64 bits (IEEE 754, "double") apart."""

# Every digit and dot becomes 0 and every E an e: to look for runs of them is then a search for a plain text, a tenth of
# the work of a regular expression. Most texts are done with that.
_SHAPES = bytes(ord("0") if chr(c) in "0123456789." else ord("e") if chr(c) == "E" else c for c in range(256))
_MANY_DIGITS = b"0" * (17 + len("."))

_BEFORE_NUMBERS = b"[:, \t\r\n"
_FAR = 400
_LONGEST_INTEGER = re.compile(rb"\d{%d}" % (MAX_DIGITS + 1))

# In orjson's own text: what Postgres' jsonb would write in another way, and read back as another type.
_REWRITTEN = re.compile(rb"[\[:,]-?(?:[\d.]+e|(?<=-)0\.0(?!\d))")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.]*(?:e[+-]?\d+)?')


class InexactJson(ValueError):
    """The text holds what could not be kept as it was sent; the message says where and what, and not its value."""


_TOO_DEEP = "body: it is nested too deep"


@dataclasses.dataclass(frozen=True, slots=True)
class _Refused:
    why: str


def loads(text: bytes) -> Any:
    """The value of a JSON text that somebody sent.

    Integers are exact, up to 4,300 digits. Numbers with a fraction or an exponent are doubles.

    Raises:
        InexactJson: for a key that stands twice in one object, and for numbers that are no double: too large, too
            small, or of more than 17 significant digits.
        ValueError: it is no JSON in UTF-8 (NaN and the infinities are none).
    """
    value = _quickly(text)
    if value is _UNSURE or _has_large_numbers(text) or _may_repeat_keys(text, value):
        return _closely(text, parse_float=_double, object_pairs_hook=_object)
    return value


def loads_answer(text: bytes) -> Any:
    """The value of a JSON text that came as an answer to something that was done, so refusing it would be too late.

    Integers are exact; a fraction becomes the nearest double, and of a key that stands twice the last one counts.

    Raises:
        ValueError: it is no JSON in UTF-8, or holds a number that is too large for a double.
    """
    value = _quickly(text)
    if value is _UNSURE or _MANY_DIGITS in text.translate(_SHAPES):
        return _closely(text, parse_float=_nearest)
    return value


def loads_own(text: str) -> Any:
    """The value of a text that `dumps` wrote, or that Postgres gave back for it."""
    encoded = text.encode()
    value = _quickly(encoded)
    return json.loads(text) if value is _UNSURE or _MANY_DIGITS in encoded.translate(_SHAPES) else value


def dumps(value: Any) -> bytes:
    """The JSON text of a value, with its numbers written so that a trip through Postgres' jsonb changes nothing.

    jsonb keeps decimal digits: it writes 1e+23 as an integer that is another number than the double, and -0.0 as 0.0.
    So doubles are written without exponents, and whole ones end in `.0`.

    Raises:
        TypeError, ValueError: for what is no JSON: other types, NaN and the infinities, half of a surrogate pair.
        RecursionError: for what is nested too deep.
    """
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        if "64-bit" not in str(error):
            raise
        text = _dumps_strictly(value)
    else:
        # orjson writes NaN and the infinities as null; only then is a closer look needed.
        if b"null" in text:
            text = _dumps_strictly(value)
    shapes = text.translate(_SHAPES)
    if (b"0e+" in shapes or b"0e-" in shapes or b"-0.0" in text) and _REWRITTEN.search(b"," + text):
        return _TOKEN.sub(_positional, text)
    return text


def members(text: bytes) -> list[bytes]:
    """The texts of an array's members, byte by byte as they were sent.

    Raises:
        ValueError: it is no JSON array in UTF-8.
    """
    whole = _utf8(text).strip(" \t\r\n")
    if not whole.startswith("["):
        raise ValueError("it is no array")
    found: list[bytes] = []
    at = _after_space(whole, 1)
    while found or whole[at : at + 1] != "]":
        begin = at
        try:
            _value, end = _SCANNER.raw_decode(whole, begin)
        except RecursionError as error:
            raise InexactJson(_TOO_DEEP) from error
        found.append(whole[begin:end].encode())
        at = _after_space(whole, end)
        if whole[at : at + 1] == "]":
            break
        if whole[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' or ']'", whole, at)
        at = _after_space(whole, at + 1)
    if at + 1 != len(whole):
        raise json.JSONDecodeError("Extra data", whole, at + 1)
    return found


_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\r\n]*")


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _has_large_numbers(text: bytes) -> bool:
    shapes = text.translate(_SHAPES)
    return _MANY_DIGITS in shapes or _has_exponents(shapes)


def _has_exponents(shapes: bytes) -> bool:
    # Texts hold many a digit before an e (ids do), so it counts only where a number can begin.
    at = shapes.find(b"0e")
    while at >= 0:
        start = shapes[max(at - _FAR, 0) : at + 1].rstrip(b"0").removesuffix(b"-")
        if not start or start[-1] in _BEFORE_NUMBERS:
            return True
        at = shapes.find(b"0e", at + 1)
    return False


def _may_repeat_keys(text: bytes, value: Any) -> bool:
    """Each key has a colon, so a key that was lost took one with it; what texts hold of them is in both counts."""
    colons = text.count(b":")
    return colons > 1 and (b"\\u003" in text or orjson.dumps(value).count(b":") != colons)


_UNSURE = object()
"""orjson met a number beyond its range: it may be an integer, so this says nothing yet."""


def _quickly(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise InexactJson(_TOO_DEEP) from error
        if "surrogate in string" in str(error):
            raise InexactJson("body: a text holds half of a surrogate pair") from error
        if "infinity" not in str(error):
            raise
        return _UNSURE


def _closely(text: bytes, **how: Any) -> Any:
    parse_int = _integer if _LONGEST_INTEGER.search(text) else None
    try:
        value = json.loads(_utf8(text), parse_int=parse_int, parse_constant=_no_constant, **how)
    except RecursionError as error:
        raise InexactJson(_TOO_DEEP) from error
    return _found(value)


def _utf8(text: bytes) -> str:
    if text.startswith(b"\xef\xbb\xbf"):
        raise ValueError("it begins with a byte order mark")
    return text.decode()


def _integer(digits: str) -> Any:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        return _Refused(f"an integer has more than {MAX_DIGITS} digits")
    return int(digits)


def _nearest(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else _Refused("a number is too large (a 64-bit double ends at 1.8e308)")


def _double(text: str) -> Any:
    value = _nearest(text)
    if isinstance(value, _Refused):
        return value
    digits = re.split("[eE]", text)[0].replace(".", "").lstrip("-0").rstrip("0")
    if value == 0 and digits:
        return _Refused("a number is too near to zero (a 64-bit double ends at 5e-324)")
    if len(digits) > SIGNIFICANT_DIGITS and Decimal(text) != Decimal(value):
        return _Refused(
            f"a number has more than the {SIGNIFICANT_DIGITS} significant digits of a 64-bit double; send it as text"
        )
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _value in pairs:
        if key in seen:
            value[key] = _Refused("this key stands more than once in one object")
        seen.add(key)
    return value


def _found(value: Any) -> Any:
    """The value itself, if nothing in it was refused."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, _Refused):
            raise InexactJson(f"{path[1:201] or 'body'}: {item.why}")
        if isinstance(item, dict):
            waiting.extend((f"{path}.{key}", inner) for key, inner in item.items())
        elif isinstance(item, list):
            waiting.extend((f"{path}.{index}", inner) for index, inner in enumerate(item))
    return value


def _dumps_strictly(value: Any) -> bytes:
    """The slow way, for what orjson would change: it says what is wrong, or keeps integers of any size."""
    _require_text_keys(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def _require_text_keys(value: Any) -> None:
    # Python's own encoder would make texts of numbers, and "true" of True.
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise TypeError("Dict key must be str")
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    return orjson.loads(orjson.dumps(value))


def _positional(match: re.Match[bytes]) -> bytes:
    """A token of a JSON text: texts and integers as they are, doubles without exponent and without a sign of zero."""
    token = match[0]
    if token == b"-0.0":
        return b"0.0"
    if token.startswith(b'"') or b"e" not in token:
        return token
    digits = format(Decimal(token.decode()), "f")
    return (digits if "." in digits else f"{digits}.0").encode()
