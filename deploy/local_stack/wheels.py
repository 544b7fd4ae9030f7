"""Finds programs that arrive inside Python packages, without importing the packages (imports may write and warn)."""

from importlib.util import find_spec
from pathlib import Path


def packaged_program(package: str, pattern: str) -> Path | None:
    """The program that matches the pattern inside the installed package; None if there is none for this machine."""
    found = find_spec(package)
    for location in (found.submodule_search_locations or ()) if found else ():
        for program in sorted(Path(location).glob(pattern)):
            return program
    return None
