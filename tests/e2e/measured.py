"""Runs a measurement as a person would, and reads what it wrote."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent.parent


def rows_of(name: str, *arguments: str) -> list[dict[str, Any]]:
    """The rows of `python -m tests.<name>`, which must succeed within what one test may take."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.{name}", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    newest = max((PROJECT / ".ratchet" / f"{name}-results").glob("*.json"))
    rows: list[dict[str, Any]] = json.loads(newest.read_text())["rows"]
    return rows
