"""What differs between two JSON values, place by place."""

from dataclasses import dataclass
from typing import Any

MOST = 200
"""More differences than that are not shown one by one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place: what was there and what will be there. `change` is added, removed or changed."""

    path: str
    change: str
    before: Any
    after: Any


def differences(before: Any, after: Any) -> list[Difference]:
    """From `before` to `after`, in order of the places, at most `MOST`."""
    found: list[Difference] = []
    _compare("", before, after, found)
    return found[:MOST]


def _compare(path: str, before: Any, after: Any, found: list[Difference]) -> None:
    if len(found) >= MOST or (type(before) is type(after) and before == after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            place = f"{path}.{key}" if path else str(key)
            if key not in after:
                found.append(Difference(place, "removed", before[key], None))
            elif key not in before:
                found.append(Difference(place, "added", None, after[key]))
            else:
                _compare(place, before[key], after[key], found)
        return
    found.append(Difference(path or "(the whole state)", "changed", before, after))
