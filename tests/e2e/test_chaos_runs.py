"""The fault matrix does what it says: a short run of two of its rows, with the whole account."""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


def test_a_short_run_strikes_and_finds_every_promise_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seconds", "5", "--seed", "1", "executor-killed", "network-cut"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    newest = max((PROJECT / ".ratchet" / "chaos-results").glob("*.json"))
    rows = json.loads(newest.read_text())["rows"]
    assert [row["fault"] for row in rows] == ["executor-killed", "network-cut"]
    assert all(row["strikes"] >= 2 and row["account"]["accepted"] > 100 for row in rows)
