"""Keeps service processes alive: starts them, restarts those that die, says where they are, ends them together."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from local_stack.environment_file import EnvironmentFile
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.launch import log_tail
from local_stack.processes import ProcessLedger
from local_stack.service_keeper import Service, ServiceKeeper

__all__ = ["Service", "Supervisor"]


GRACE = timedelta(seconds=10)
READY_WITHIN = timedelta(seconds=60)
HOPELESS_AFTER = 4
POLL = 0.05


class Supervisor:
    """Runs services in one stack folder; use it as a context manager or call `start` and `stop`.

    Every service gets its own session, its output goes to `<root>/logs/<name>.log`, and its pid is kept current in
    `<root>/env`. May be used from several threads.
    """

    def __init__(self, root: Path, services: Sequence[Service], *, environment: EnvironmentFile | None = None) -> None:
        self._folder = StackFolder.at(root)
        self._ledger = ProcessLedger(self._folder)
        self._environment = environment or EnvironmentFile(self._folder.env_file)
        self._services = {service.name: service for service in services}
        self._keepers: dict[str, ServiceKeeper] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all services and returns at once; see `wait_ready`. Raises StackError. Safe to repeat."""
        try:
            for name in self._services:
                self.start_service(name)
        except BaseException:
            self.stop()
            raise

    def start_service(self, name: str) -> None:
        """Starts one service (again). Nothing happens if it is being kept already."""
        with self._lock:
            if name not in self._keepers:
                keeper = ServiceKeeper(self._services[name], self._folder, self._ledger, self._environment)
                self._keepers[name] = keeper
                keeper.start()

    def stop_service(self, name: str, grace: timedelta = GRACE) -> None:
        """Ends one service and keeps it down until `start_service`. SIGTERM, then SIGKILL after `grace`."""
        with self._lock:
            keeper = self._keepers.pop(name, None)
        if keeper is not None:
            keeper.end(grace)

    def add(self, service: Service) -> None:
        """Takes one more service and starts it, an additional executor say."""
        self._services[service.name] = service
        self.start_service(service.name)

    def pid_of(self, name: str) -> int | None:
        """The service's process id now; None while it is down or being restarted."""
        keeper = self._keepers.get(name)
        return keeper.pid if keeper is not None else None

    def kill(self, name: str) -> int:
        """Kills the service's process (SIGKILL) as a crash would and answers the pid it had; it is restarted."""
        pid = self.pid_of(name)
        if pid is None:
            raise StackError(f"{name} is not running")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, name: str, old_pid: int, within: timedelta = READY_WITHIN) -> int:
        """Waits until the service runs under another pid and answers as ready; answers the new pid."""
        deadline = time.monotonic() + within.total_seconds()
        while (pid := self.pid_of(name)) in (None, old_pid):
            if time.monotonic() > deadline:
                raise StackError(f"{name} was not restarted within {within.total_seconds():.0f} s")
            time.sleep(POLL)
        self.wait_ready(within, names=[name])
        return pid if pid is not None else -1

    def wait_ready(self, within: timedelta = READY_WITHIN, *, names: Sequence[str] | None = None) -> None:
        """Waits until every service (or those named) answers 200 at its ready path.

        Raises StackError with the last lines of the culprit's log when the time is over, or as soon as a service
        has died so often that waiting is hopeless.
        """
        keepers = [self._keepers[name] for name in (names if names is not None else list(self._keepers))]
        if not keepers:
            return
        deadline = time.monotonic() + within.total_seconds()
        with ThreadPoolExecutor(max_workers=len(keepers)) as threads:
            troubles = list(threads.map(lambda keeper: self._trouble(keeper, deadline), keepers))
        found = [trouble for trouble in troubles if trouble]
        if found:
            raise StackError("\n\n".join(found))

    def stop(self, grace: timedelta = GRACE) -> None:
        """Ends all services at the same time: SIGTERM, then SIGKILL after `grace`. Safe to repeat."""
        with self._lock:
            keepers, self._keepers = list(self._keepers.values()), {}
        if keepers:
            with ThreadPoolExecutor(max_workers=len(keepers)) as threads:
                list(threads.map(lambda keeper: keeper.end(grace), keepers))

    def _trouble(self, keeper: ServiceKeeper, deadline: float) -> str | None:
        service = keeper.service
        while not _is_ready(service):
            late = time.monotonic() > deadline
            if late or keeper.deaths >= HOPELESS_AFTER:
                what = "is not ready in time" if late else f"ended {keeper.deaths} times (exit code {keeper.last_exit})"
                tail = log_tail(self._folder, service.log)
                return f"{service.name} {what}. The end of {self._folder.logs / service.log}:\n{tail}"
            time.sleep(POLL)
        return None


def _is_ready(service: Service) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=2)
    try:
        connection.request("GET", service.ready_path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
