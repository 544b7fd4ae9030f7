"""What the process that runs a stack tells others about itself: who it is, how far it got, where the dashboard is."""

import json
import os
from dataclasses import asdict, dataclass

from local_stack.folder import StackFolder, read_json, write_private
from local_stack.processes import ProcessRecord, is_alive, record_of

STARTING, READY = "starting", "ready"


@dataclass(frozen=True, slots=True)
class StackState:
    """The running stack: its main process, `starting` or `ready`, and what runs (`platform` or `servers`)."""

    pid: int
    started: str
    phase: str
    what: str
    dashboard: str = ""

    @property
    def record(self) -> ProcessRecord:
        """The main process, told from any other that may get its pid."""
        return ProcessRecord("stack", self.pid, self.started)


def announce(folder: StackFolder, phase: str, what: str, dashboard: str = "") -> None:
    """Tells others that this process runs the folder's stack. Safe to repeat."""
    own = record_of("stack", os.getpid())
    if own is not None:
        state = StackState(own.pid, own.started, phase, what, dashboard)
        write_private(folder.state_file, json.dumps(asdict(state)) + "\n")


def withdraw(folder: StackFolder) -> None:
    """Takes the announcement back. Safe to repeat."""
    folder.state_file.unlink(missing_ok=True)


def running_stack(folder: StackFolder) -> StackState | None:
    """The stack that runs in this folder now; None if its process has ended, however it ended."""
    known = read_json(folder.state_file)
    try:
        state = StackState(**known)
    except TypeError:
        return None
    return state if is_alive(state.record) else None
