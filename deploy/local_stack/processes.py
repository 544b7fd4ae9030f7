"""Which process is ours: a pid alone may be used again by a stranger, a pid with its start time may not."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import psutil

from local_stack.folder import StackFolder, read_json, write_private

MARK_VARIABLE = "RATCHET_STACK"
POLL = 0.02
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process that this stack started. `started` tells it from any other that ever had or will have its pid."""

    name: str
    pid: int
    started: str


def start_mark(pid: int) -> str | None:
    """What tells this process from every other with the same pid; None if it is gone or only waits to be reaped."""
    try:
        # The fields after the command's name, which may itself contain blanks and brackets.
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # Counted since boot, so the mark stays the same when the clock is set.
        return None if state in "ZX" else f"{_boot_id()}:{rest[18]}"
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (ProcessLookupError, ValueError):
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()[:8]
    except OSError:
        return "boot"


def is_alive(record: ProcessRecord) -> bool:
    """Whether this very process still runs."""
    return start_mark(record.pid) == record.started


def record_of(name: str, pid: int) -> ProcessRecord | None:
    """The record of a running process; None if it has ended."""
    started = start_mark(pid)
    return None if started is None else ProcessRecord(name, pid, started)


def family_of(record: ProcessRecord) -> list[ProcessRecord]:
    """The process, everything it started, and everything in its session, as far as it still runs."""
    if not is_alive(record):
        return []
    pids = {record.pid}
    with contextlib.suppress(psutil.Error):
        pids.update(child.pid for child in psutil.Process(record.pid).children(recursive=True))
    for pid in psutil.pids():
        if _session_of(pid) == record.pid:
            pids.add(pid)
    members = (record_of(record.name, pid) for pid in pids)
    return [member for member in members if member is not None]


def wait_until_gone(records: Iterable[ProcessRecord], within: timedelta) -> list[ProcessRecord]:
    """Waits for the processes to end; those that still run when the time is over are returned."""
    deadline = time.monotonic() + within.total_seconds()
    left = [record for record in records if is_alive(record)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL)
        left = [record for record in left if is_alive(record)]
    return left


def send(record: ProcessRecord, number: signal.Signals) -> None:
    """Sends the signal if this very process still runs."""
    with contextlib.suppress(ProcessLookupError):
        if is_alive(record):
            os.kill(record.pid, number)


def end_families(records: Iterable[ProcessRecord], number: signal.Signals, grace: timedelta) -> None:
    """Asks the processes to end with the signal, all at once, and kills them and their families after `grace`."""
    leaders = list(records)
    families = [member for leader in leaders for member in family_of(leader)]
    for leader in leaders:
        send(leader, number)
    wait_until_gone(leaders, grace)
    # A clean end takes the family along; give it a moment before force.
    left = wait_until_gone(families, timedelta() if number is signal.SIGKILL else timedelta(seconds=0.5))
    for member in left:
        send(member, signal.SIGKILL)
    wait_until_gone(left, timedelta(seconds=5))


class ProcessLedger:
    """The running processes on disk, so that the next run can end what a killed one left behind.

    One file for each process: several threads may start processes at once without overwriting each other's notes.
    """

    def __init__(self, folder: StackFolder) -> None:
        self._folder = folder

    def add(self, record: ProcessRecord) -> None:
        """Notes a process that was just started."""
        self._folder.processes.mkdir(mode=0o700, exist_ok=True)
        write_private(self._file(record), json.dumps(asdict(record)) + "\n")

    def discard(self, record: ProcessRecord) -> None:
        """Strikes a process that has ended. Safe to repeat."""
        self._file(record).unlink(missing_ok=True)

    def read(self) -> list[ProcessRecord]:
        """The processes noted, whether they still run or not, sorted by name."""
        entries = (read_json(file) for file in self._folder.processes.glob("*.json"))
        records = [ProcessRecord(**entry) for entry in entries if entry]
        return sorted(records, key=lambda record: (record.name, record.pid))

    def _file(self, record: ProcessRecord) -> Path:
        return self._folder.processes / f"{record.name}-{record.pid}.json"


def end_leftovers(folder: StackFolder) -> list[ProcessRecord]:
    """Ends what an earlier run of this folder left running and returns it. Call it while the folder is held.

    Only processes of this stack are touched: those recorded with pid and start time, and those that carry the
    folder's mark in their environment (they were started just before their record could be written).
    """
    recorded = [record for record in ProcessLedger(folder).read() if is_alive(record)]
    marked = _marked(folder)
    leaders = {record.pid: record for record in [*marked, *recorded] if _session_of(record.pid) == record.pid}
    end_families(leaders.values(), signal.SIGTERM, timedelta(seconds=10))
    end_families(_marked(folder), signal.SIGKILL, timedelta())
    for record in ProcessLedger(folder).read():
        ProcessLedger(folder).discard(record)
    return list({record.pid: record for record in [*marked, *recorded]}.values())


def end_orphans(folder: StackFolder, leader: ProcessRecord) -> None:
    """Kills what a dead process of this stack left behind in its session."""
    end_families(
        [record for record in _marked(folder) if _session_of(record.pid) == leader.pid], signal.SIGKILL, timedelta()
    )


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _marked(folder: StackFolder) -> list[ProcessRecord]:
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    marked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid in own or process.environ().get(MARK_VARIABLE) != str(folder.root):
                continue
            record = record_of(process.name(), process.pid)
            if record is not None:
                marked.append(record)
    return marked
