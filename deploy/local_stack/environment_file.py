"""The file `env` of a stack: what one needs to talk to it, as KEY=value lines that shells and dotenv readers take."""

import re
import threading
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from local_stack.folder import write_private

PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./?\[\]-]*")


def render(values: Mapping[str, str]) -> str:
    """The lines of the file. Raises ValueError for a value with a line break, which no reader would take back."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError("a value in an environment file must not contain a line break")
    if PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def read_environment(path: Path) -> dict[str, str]:
    """The values in the file; none if it is missing."""
    if not path.exists():
        return {}
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


class EnvironmentFile:
    """Keeps one environment file current. May be used from several threads; every change is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    def set(self, values: Mapping[str, str]) -> None:
        """Adds these values or replaces them. Safe to repeat."""
        with self._lock:
            self._values.update(values)
            write_private(self._path, render(self._values))

    def discard(self, name: str) -> None:
        """Removes the value if it is there. Safe to repeat."""
        with self._lock:
            if self._values.pop(name, None) is not None:
                write_private(self._path, render(self._values))

    def remove(self) -> None:
        """Removes the file: what it described no longer runs."""
        with self._lock:
            self._values.clear()
            self._path.unlink(missing_ok=True)
