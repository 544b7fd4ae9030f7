"""`up`: servers and services in the foreground, until somebody asks them to end."""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from local_stack.environment_file import EnvironmentFile
from local_stack.errors import StackError
from local_stack.folder import FolderInUseError, StackFolder, exclusive
from local_stack.processes import end_leftovers
from local_stack.running_platform import running_platform
from local_stack.screen import Screen
from local_stack.server_handles import RunningServers
from local_stack.servers import started_servers
from local_stack.services import Wishes, check_wishes
from local_stack.stack_state import READY, STARTING, announce, running_stack, withdraw
from local_stack.stop_signals import StopRequested, stop_on_signals, terminal_watch, undisturbed

WATCH_EVERY = timedelta(seconds=1)
PLATFORM, SERVERS = "platform", "servers"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What to run (`platform`, or the `servers` alone), how many executors, and the caller's environment."""

    what: str = PLATFORM
    executors: int = 1
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def up(root: Path, options: UpOptions, screen: Screen) -> int:
    """Runs the stack until a signal asks it to end; then nothing of it is left running. Answers the exit code.

    Raises StackError when it cannot start or another one runs in the same folder.
    """
    folder = StackFolder.at(root)
    with stop_on_signals(), _held(folder):
        try:
            _run(folder, options, screen)
        except StopRequested:
            screen.say("Stopped. The data is kept: the next `make up` goes on with it.")
        finally:
            with undisturbed():
                end_leftovers(folder)
                withdraw(folder)
    return 0


def _held(folder: StackFolder) -> ExitStack:
    stack = ExitStack()
    try:
        stack.enter_context(exclusive(folder))
    except FolderInUseError:
        other = running_stack(folder)
        where = f" Its dashboard: {other.dashboard}" if other and other.dashboard else ""
        pid = f" (pid {other.pid})" if other else ""
        raise StackError(f"A stack runs here already{pid}.{where}\nEnd it with `make down` first.") from None
    return stack


def _run(folder: StackFolder, options: UpOptions, screen: Screen) -> None:
    left = end_leftovers(folder)
    if left:
        screen.say(f"Ended {len(left)} processes that an earlier run had left behind.")
    wishes = Wishes(options.environ, options.executors)
    check_wishes(wishes)
    announce(folder, STARTING, options.what)
    began = time.monotonic()
    with ExitStack() as stack:
        servers = stack.enter_context(started_servers(folder, environ=options.environ, say=screen.say))
        screen.say(f"Servers ready ({servers.kind}) after {time.monotonic() - began:.1f} s.")
        if options.what == SERVERS:
            settings = servers.urls.as_environ()
            environment = EnvironmentFile(folder.env_file)
            stack.callback(environment.remove)
            environment.set(settings)
            announce(folder, READY, SERVERS)
            screen.servers(settings)
        else:
            screen.say("Starting the services …")
            platform = stack.enter_context(running_platform(folder, servers.urls, wishes, say=screen.say))
            screen.say(f"All ready after {time.monotonic() - began:.1f} s.")
            announce(folder, READY, PLATFORM, f"{platform.api_url}/")
            screen.platform(folder, platform.environ)
        stack.callback(screen.say, "Stopping …")
        _watch(servers, screen)


def _watch(servers: RunningServers, screen: Screen) -> None:
    """Restarts a server of ours that died; ends only when the stack is asked to end or its terminal goes away."""
    never = threading.Event()
    terminal_is_gone = terminal_watch()
    while not never.wait(WATCH_EVERY.total_seconds()):
        if terminal_is_gone():
            raise StopRequested
        for name, server in servers.own.items():
            if server.pid is None:
                screen.say(f"{name} died; starting it again …")
                try:
                    server.start()
                except StackError as error:
                    screen.error(f"{error}\nTrying again.")
