"""The bench measures what it says: a small run of it, with all its checks."""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


def test_a_small_run_completes_and_verifies_every_step_from_the_tables() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "w1-bulk", "w2", "retries"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    newest = max((PROJECT / ".ratchet" / "bench-results").glob("*.json"))
    rows = json.loads(newest.read_text())["rows"]
    assert len(rows) == 3
    assert all(run > 0 for row in rows for run in row.get("workflows_per_second", [1]))
