"""`up` in the background: shows its progress until everything is ready, then leaves it running."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.screen import Screen
from local_stack.stack_state import READY, running_stack
from local_stack.stop_signals import StopRequested, stop_on_signals

POLL = 0.1
LOG = "stack.log"


def start_detached(root: Path, arguments: Sequence[str], screen: Screen) -> int:
    """Runs `python -m local_stack <arguments>` in a session of its own and returns when its stack is ready.

    Answers 0 then, else the exit code of the failed attempt, whose output has been shown.
    """
    folder = StackFolder.at(root)
    other = running_stack(folder)
    if other is not None:
        raise StackError(
            f"A stack runs here already (pid {other.pid}). {other.dashboard}\nEnd it with `make down` first."
        )
    log = folder.logs / LOG
    with stop_on_signals(), log.open("wb") as output:
        os.fchmod(output.fileno(), 0o600)
        process = subprocess.Popen(
            [sys.executable, "-m", "local_stack", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _follow(folder, process, log, screen)
        except StopRequested:
            process.terminate()
            return process.wait() or 1


def _follow(folder: StackFolder, process: subprocess.Popen[bytes], log: Path, screen: Screen) -> int:
    with log.open(errors="replace") as lines:
        while True:
            ended = process.poll()
            state = running_stack(folder)
            ready = state is not None and state.pid == process.pid and state.phase == READY
            if ready:
                # The state is announced just before the summary is printed.
                time.sleep(POLL)
            screen.raw(lines.read())
            if ended is not None:
                return ended or 1
            if ready:
                return 0
            time.sleep(POLL)
