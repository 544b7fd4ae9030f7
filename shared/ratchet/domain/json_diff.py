"""The difference between two JSON values, as a list of changes by path (RFC 6901)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Any


class ChangeKind(StrEnum):
    """As in JSON Patch."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class JsonChange:
    """One difference; `before` means nothing for an addition, `after` nothing for a removal."""

    kind: ChangeKind
    path: str
    before: Any = None
    after: Any = None


_NOTHING = object()


def differences(before: Any, after: Any, path: str = "") -> Iterator[JsonChange]:
    """What turns `before` into `after`: objects by key, arrays by position, everything else as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _member(before.get(key, _NOTHING), after.get(key, _NOTHING), f"{path}/{_escaped(key)}")
    elif isinstance(before, list) and isinstance(after, list):
        for index, (one, other) in enumerate(zip_longest(before, after, fillvalue=_NOTHING)):
            yield from _member(one, other, f"{path}/{index}")
    elif not _same(before, after):
        yield JsonChange(ChangeKind.REPLACE, path, before, after)


def _member(before: Any, after: Any, path: str) -> Iterator[JsonChange]:
    if before is _NOTHING:
        yield JsonChange(ChangeKind.ADD, path, after=after)
    elif after is _NOTHING:
        yield JsonChange(ChangeKind.REMOVE, path, before=before)
    else:
        yield from differences(before, after, path)


def _same(before: Any, after: Any) -> bool:
    # In Python 1 == True, in JSON they are not the same.
    return isinstance(before, bool) == isinstance(after, bool) and bool(before == after)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
