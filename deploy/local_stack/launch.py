"""Starts one process of the stack: own session, own log, marked and recorded."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.processes import MARK_VARIABLE, ProcessLedger, ProcessRecord, record_of

LONGEST_LOG = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged system user that a server runs as when the stack itself runs as root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, where, with which environment, and into which log file (in the stack's log folder)."""

    name: str
    arguments: tuple[str, ...]
    log: str
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    account: Account | None = None
    descriptors: tuple[int, ...] = ()
    """Open files that the process is to have as well, under the same numbers."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A started process and its record."""

    process: subprocess.Popen[bytes]
    record: ProcessRecord


def launch(command: Command, folder: StackFolder, ledger: ProcessLedger, *, new_log: bool) -> Launched:
    """Starts the command in a session of its own (a terminal's Ctrl-C does not reach it) and records it.

    `new_log` begins a new log and keeps the one before as `<name>.log.1`; else the log goes on.
    Raises StackError when the program cannot be started.
    """
    account = command.account
    log_file = folder.logs / command.log
    if log_file.exists() and (new_log or log_file.stat().st_size > LONGEST_LOG):
        log_file.replace(log_file.with_name(f"{command.log}.1"))
    with log_file.open("ab") as log:
        os.fchmod(log.fileno(), 0o600)
        try:
            process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                env={**command.environ, MARK_VARIABLE: str(folder.root)},
                start_new_session=True,
                pass_fds=command.descriptors,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except OSError as error:
            raise StackError(f"Cannot start {command.name}: {error}") from error
    # A process that has ended already is a zombie of ours, so its pid is nobody else's yet.
    record = record_of(command.name, process.pid) or ProcessRecord(command.name, process.pid, "ended")
    ledger.add(record)
    return Launched(process, record)


def log_tail(folder: StackFolder, log: str, lines: int = 15) -> str:
    """The last lines of a log, for error messages; empty if there is none."""
    try:
        content = (folder.logs / log).read_bytes()[-16_384:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(content.splitlines()[-lines:])
