"""`down`, `reset` and `status`: ends a stack wherever it was started, deletes its data, shows what runs."""

import shutil
import signal
import time
from datetime import timedelta
from pathlib import Path

from local_stack.docker_servers import remove_all
from local_stack.environment_file import read_environment
from local_stack.errors import StackError
from local_stack.folder import FolderInUseError, StackFolder, exclusive
from local_stack.postgres_place import remove_outside_home
from local_stack.processes import (
    ProcessLedger,
    end_leftovers,
    is_alive,
    send,
    wait_until_gone,
)
from local_stack.screen import Screen
from local_stack.server_urls import ALL
from local_stack.stack_state import running_stack, withdraw

STOP_WITHIN = timedelta(seconds=60)


def down(root: Path, screen: Screen) -> int:
    """Ends the stack and whatever a killed one (or a killed test run below the same folder) left; data is kept.

    Answers 0, also when nothing ran. Raises StackError when the stack does not end.
    """
    if not root.exists():
        screen.say("Nothing is running.")
        return 0
    folder = StackFolder.at(root)
    began = time.monotonic()
    state = running_stack(folder)
    if state is not None:
        screen.say(f"Stopping the stack (pid {state.pid}) …")
        send(state.record, signal.SIGTERM)
        if wait_until_gone([state.record], STOP_WITHIN):
            raise StackError(
                f"The stack (pid {state.pid}) does not end. Look at {folder.logs}, or kill it and try again."
            )
    left = sum(_end_what_is_left(each, screen) for each in (folder, *_below(folder)))
    if left:
        screen.say(f"Ended {left} processes that a killed run had left behind.")
    if state is not None or left:
        screen.say(f"Stopped after {time.monotonic() - began:.1f} s. The data is kept.")
    else:
        screen.say("Nothing is running.")
    return 0


def _end_what_is_left(folder: StackFolder, screen: Screen) -> int:
    try:
        with exclusive(folder):
            left = end_leftovers(folder)
            remove_all(folder, ALL, volumes=False, say=screen.say)
            folder.env_file.unlink(missing_ok=True)
            withdraw(folder)
            return len(left)
    except FolderInUseError:
        screen.say(f"{folder.root} is in use by another run, which is left alone.")
        return 0


def _below(folder: StackFolder) -> list[StackFolder]:
    """The folders of tests and demo below this one."""
    return [StackFolder(lock.parent) for lock in sorted(folder.root.glob("*/lock"))]


def reset(root: Path, screen: Screen) -> int:
    """Ends the stack and deletes its data, logs, ports and secrets. Safe to repeat.

    Raises StackError, with nothing deleted, when a run in the folder or below it goes on.
    """
    down(root, screen)
    if not root.exists():
        return 0
    folder = StackFolder.at(root)
    folders = (folder, *_below(folder))
    for each in folders:
        try:
            with exclusive(each):
                pass
        except FolderInUseError as error:
            raise StackError(f"{error}: wait for it or end it, then try again. Nothing was deleted.") from None
    for each in folders:
        remove_outside_home(each)
        remove_all(each, ALL, volumes=True, say=screen.say)
    shutil.rmtree(folder.root)
    screen.say(f"Deleted {folder.root}.")
    return 0


def status(root: Path, screen: Screen) -> int:
    """Shows what runs. Answers 0 when the stack runs, 1 when it does not."""
    folder = StackFolder(root.expanduser().resolve())
    state = running_stack(folder)
    if state is None:
        screen.say("Nothing is running. Start it with `make up`.")
        return 1
    rows = [
        (
            record.name,
            str(record.pid),
            "running" if is_alive(record) else "ended",
            str(folder.logs / f"{record.name}.log"),
        )
        for record in ProcessLedger(folder).read()
    ]
    screen.table(f"{state.what}: {state.phase} (pid {state.pid})", ("process", "pid", "state", "log"), rows)
    # Not those of the servers: they hold passwords.
    urls = [
        each for each in read_environment(folder.env_file).items() if each[1].startswith("http") and "_URL" in each[0]
    ]
    if urls:
        screen.table("Addresses", ("name", "value"), urls)
    screen.say(f"All settings, passwords included: {folder.env_file}")
    return 0
