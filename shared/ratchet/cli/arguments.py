"""How words on the command line become values, with errors that say how to write them."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from ratchet.client.errors import InvalidCommand
from ratchet.exact_json import loads
from ratchet.settings import parse_duration


def _duration(_type: type[Any], tokens: Sequence[Token]) -> timedelta:
    value = parse_duration(tokens[0].value)
    assert isinstance(value, timedelta)  # a text always becomes one, or raises
    return value


Age = Annotated[timedelta, Parameter(converter=_duration)]
WorkflowId = Annotated[UUID, Parameter(help="The workflow.")]
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=200), help="How many at most, 1 to 200.")]
Cursor = Annotated[str | None, Parameter(help="Go on where the last page ended.")]
Reason = Annotated[str | None, Parameter(help="Why; kept in the audit log.")]
NeededReason = Annotated[str, Parameter(help="Why; kept in the audit log.")]
FailedAttempt = Annotated[
    int | None, Parameter(help="Only if it failed with this attempt (`failedAttempt` of `ratchet status`).")
]
RunInstead = Annotated[
    str | None,
    Parameter(help="Where the definition has changed: the step that may run in the place of the one that had failed."),
]
Watch = Annotated[bool, Parameter(negative="", help="Follow what comes of it, to its end.")]
Patience = Annotated[Age | None, Parameter(help="Stop watching after this long: 90s, 15m.")]


def json_object(text: str) -> dict[str, Any]:
    """An object from JSON text, from a file (`@order.json`), or from standard input (`-`).

    Raises:
        InvalidCommand: it is none.
    """
    try:
        value = loads(_content(text).encode())
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
