"""How words on the command line become values, with errors that say how to write them."""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from ratchet.client.errors import InvalidCommand
from ratchet.settings import parse_duration


def _duration(_type: type[Any], tokens: Sequence[Token]) -> timedelta:
    value = parse_duration(tokens[0].value)
    assert isinstance(value, timedelta)  # a text always becomes one, or raises
    return value


Age = Annotated[timedelta, Parameter(converter=_duration)]
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=200))]
Reason = Annotated[str | None, Parameter(name="--reason")]


def json_object(text: str) -> dict[str, Any]:
    """An object from JSON text, from a file (`@order.json`), or from standard input (`-`).

    Raises:
        InvalidCommand: it is none.
    """
    try:
        value = json.loads(_content(text))
    except OSError as error:
        raise InvalidCommand(f"{text.removeprefix('@')} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidCommand(f"Not JSON ({error}). Write an object like '{{\"orderId\": 17}}', @file or -") from error
    if not isinstance(value, dict):
        raise InvalidCommand("A JSON object is needed, like '{\"orderId\": 17}'")
    return value


def _content(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if text.startswith("@"):
        return Path(text[1:]).read_text(encoding="utf-8")
    return text
