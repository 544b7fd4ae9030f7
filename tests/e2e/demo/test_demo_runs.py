"""`make demo` does what it says, and nothing of it is left running, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from local_stack.folder import StackFolder
from local_stack.postgres_place import remove_outside_home
from local_stack.processes import MARK_VARIABLE

MAIN = "import sys, pathlib; from local_stack.demo.__main__ import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
ALLOWED = timedelta(seconds=150)
INTERRUPTED = 130

pytestmark = pytest.mark.timeout(ALLOWED.total_seconds() + 30)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder of its own, so that a demo that somebody else runs here does not disturb."""
    yield tmp_path / "demo"
    remove_outside_home(StackFolder.at(tmp_path / "demo"))


def _begin(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _left_running(root: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK_VARIABLE) == str(root):
                found.append(" ".join(process.cmdline()))
    return found


def test_the_demo_shows_all_five_scenarios_ending_as_they_should(root: Path) -> None:
    with _begin(root) as demo:
        output, _ = demo.communicate(timeout=ALLOWED.total_seconds())
    assert demo.returncode == 0, output
    for told in (
        "Clean run         Completed",
        "retry 2 of 3: payment answers 503",
        "Step failed after multiple attempts",
        "send_survey was skipped",
        "recovered, goes on with fly_parcel",
        "All five ended as they should",
    ):
        assert told in output
    assert _left_running(root) == []


def test_a_demo_interrupted_in_the_middle_leaves_nothing_running(root: Path) -> None:
    with _begin(root) as demo:
        assert demo.stdout is not None
        seen = []
        for line in demo.stdout:
            seen.append(line)
            if "Executing" in line:
                demo.send_signal(signal.SIGINT)
                break
        rest, _ = demo.communicate(timeout=ALLOWED.total_seconds())
    assert demo.returncode == INTERRUPTED, "".join(seen) + rest
    assert "nothing is left running" in rest
    assert _left_running(root) == []
