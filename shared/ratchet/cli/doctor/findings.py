"""What the doctor finds: one line each, with what to do where something is to be done."""

import re
from dataclasses import dataclass
from enum import StrEnum

_LEADING_DIGITS = re.compile(r"\d+")


class Level(StrEnum):
    """How bad it is: only `RED` makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    area: str
    subject: str
    level: Level
    found: str
    advice: str = ""


def version_finding(area: str, found: str, *, lowest: int, highest: int | None, advice: str) -> Finding:
    """Judge a version by its major number; one newer than what was tried is worth a warning, no more."""
    digits = _LEADING_DIGITS.match(found)
    if digits is None:
        return Finding(area, "version", Level.WARNING, f"{found} is no version that is understood", advice)
    major = int(digits[0])
    if major < lowest:
        return Finding(area, "version", Level.RED, f"{found} is too old", advice)
    if highest is not None and major > highest:
        return Finding(area, "version", Level.WARNING, f"{found} is newer than what Ratchet was tried with", advice)
    return Finding(area, "version", Level.OK, found)
