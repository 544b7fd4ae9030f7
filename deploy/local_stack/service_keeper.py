"""Keeps one service process alive: starts it, restarts it when it dies, publishes its pid, ends it."""

import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ratchet.service import BACKLOG, claim_port

from local_stack.environment_file import EnvironmentFile
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.launch import Command, Launched, launch
from local_stack.processes import ProcessLedger, end_families, end_orphans

# A service that dies at once, again and again, is restarted with these pauses; the last one goes on for ever.
BACK_OFF = tuple(timedelta(seconds=seconds) for seconds in (0.2, 0.5, 1.0, 2.0))
# A service that ran this long has recovered: its next death is its first again.
SETTLED_AFTER = timedelta(seconds=10)

LISTEN_VARIABLE = "RATCHET_LISTEN_FD"


@dataclass(frozen=True, slots=True)
class Service:
    """One service process: how to run it, where it answers, and under which name its pid is published.

    `environ` is the process' whole environment. With `keeps_port` the keeper listens for it and hands the socket on, so
    that nobody is refused while one process follows another: requests wait for the next one.
    """

    name: str
    arguments: tuple[str, ...]
    port: int
    pid_variable: str
    environ: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/readyz"
    keeps_port: bool = False

    @property
    def url(self) -> str:
        """Where the service answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Its log's name in the stack's log folder."""
        return f"{self.name}.log"


def restart_delay(deaths_in_a_row: int) -> timedelta:
    """How long to wait before the restart after that many early deaths in a row (the first is 1)."""
    return BACK_OFF[min(deaths_in_a_row, len(BACK_OFF)) - 1]


class HeldPort:
    """The socket that a service listens on, kept open while the process behind it changes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._socket: socket.socket | None = None

    def hold(self) -> int:
        """The descriptor of the socket, which listens from now on; raises StackError. Safe to repeat."""
        if self._socket is None:
            host = self._service.environ.get("RATCHET_HOST") or "127.0.0.1"
            try:
                self._socket = claim_port(host, self._service.port)
            except OSError as error:
                raise StackError(
                    f"{self._service.name} cannot have port {self._service.port} of {host}: {error}"
                ) from error
            self._socket.listen(BACKLOG)
        return self._socket.fileno()

    def release(self) -> None:
        """Refuse connections. Safe to repeat."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class ServiceKeeper:
    """Runs one service, in a thread of its own that learns of a death the moment it happens."""

    def __init__(
        self, service: Service, folder: StackFolder, ledger: ProcessLedger, environment: EnvironmentFile
    ) -> None:
        self.service = service
        self.deaths = 0
        self.last_exit: int | None = None
        self._folder = folder
        self._ledger = ledger
        self._environment = environment
        self._current: Launched | None = None
        self._port = HeldPort(service) if service.keeps_port else None
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{service.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process id now; None while the service is down."""
        current = self._current
        return current.record.pid if current is not None and current.process.returncode is None else None

    def start(self) -> None:
        """Starts the service and keeps it from now on. Raises StackError when it cannot be started."""
        self._launch()
        self._thread.start()

    def end(self, grace: timedelta) -> None:
        """Ends the service and keeps it no more: SIGTERM, then SIGKILL after `grace`. Safe to repeat."""
        self._ending.set()
        with self._lock:
            current = self._current
        if current is not None:
            end_families([current.record], signal.SIGTERM, grace)
            current.process.wait()
            self._ledger.discard(current.record)
        if self._thread.ident is not None:
            self._thread.join()
        if self._port is not None:
            self._port.release()
        self._environment.discard(self.service.pid_variable)

    def _launch(self) -> None:
        service = self.service
        environ = {"PYTHONUNBUFFERED": "1", **service.environ}
        with self._lock:
            if self._ending.is_set():
                return
            previous = self._current
            descriptors: tuple[int, ...] = ()
            if self._port is not None:
                descriptors = (self._port.hold(),)
                environ[LISTEN_VARIABLE] = str(descriptors[0])
            command = Command(service.name, service.arguments, service.log, environ, descriptors=descriptors)
            self._current = launch(command, self._folder, self._ledger, new_log=previous is None)
        if previous is not None:
            self._ledger.discard(previous.record)
        self._environment.set({service.pid_variable: str(self._current.record.pid)})

    def _keep(self) -> None:
        while not self._ending.is_set() and self._current is not None:
            started_at = time.monotonic()
            self.last_exit = self._current.process.wait()
            if self._ending.is_set():
                return
            if time.monotonic() - started_at > SETTLED_AFTER.total_seconds():
                self.deaths = 0
            self.deaths += 1
            # What the dead process had started must not go on beside its successor.
            end_orphans(self._folder, self._current.record)
            if self._port is not None and self.deaths >= len(BACK_OFF) and self.last_exit > 0:
                # It cannot start, again and again: better an honest refusal than a wait without end.
                self._port.release()
            self._ending.wait(restart_delay(self.deaths).total_seconds())
            try:
                self._launch()
            except StackError:
                # The program is gone for the moment (an upgrade, say); the next round tries again.
                continue
