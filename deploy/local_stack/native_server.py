"""A server that runs as an ordinary process of this machine: start, stop, kill, start again on the same port."""

import signal
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.launch import Command, Launched, launch, log_tail
from local_stack.processes import ProcessLedger, end_families

POLL = 0.05


class Server(Protocol):
    """What tests and the process manager may do with a server, wherever it runs."""

    @property
    def name(self) -> str:
        """`postgres`, `rabbitmq` or `valkey`."""

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs, else None."""

    def start(self) -> None:
        """Starts the server and returns when it answers. Nothing happens if it runs. Raises StackError."""

    def stop(self) -> None:
        """Ends the server in good order. Nothing happens if it does not run."""

    def kill(self) -> None:
        """Ends the server as a crash would (SIGKILL). Its data stays as it is."""


class Recipe(Protocol):
    """How one kind of server is run."""

    name: str
    stop_signal: signal.Signals
    start_within: timedelta

    def prepare(self) -> Command:
        """Makes data folder and configuration as far as they are missing; answers what to run."""

    def companions(self) -> Sequence[Command]:
        """Processes that must run beside the server and end with it."""

    def answers(self) -> bool:
        """Whether the server can be used now."""

    def first_use(self) -> None:
        """What must be set up in the running server. Safe to repeat."""


class NativeServer:
    """Runs one recipe in one folder. Not for use by several threads at once."""

    def __init__(self, recipe: Recipe, folder: StackFolder) -> None:
        self._recipe = recipe
        self._folder = folder
        self._ledger = ProcessLedger(folder)
        self._main: Launched | None = None
        self._companions: list[Launched] = []
        self._given_up = threading.Event()
        self._logs_begun = False

    @property
    def name(self) -> str:
        """`postgres`, `rabbitmq` or `valkey`."""
        return self._recipe.name

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs, else None."""
        return self._main.process.pid if self._main and self._main.process.poll() is None else None

    def start(self) -> None:
        """Starts the server and returns when it answers. Nothing happens if it runs. Raises StackError."""
        if self.pid is not None:
            return
        self._forget()
        command = self._recipe.prepare()
        self._start_companions()
        self._main = launch(command, self._folder, self._ledger, new_log=not self._logs_begun)
        self._logs_begun = True
        try:
            self._wait_until_it_answers(command)
            self._recipe.first_use()
        except BaseException:
            self.kill()
            self._end_companions()
            raise

    def give_up(self) -> None:
        """Makes a start that is under way in another thread fail soon."""
        self._given_up.set()

    def stop(self) -> None:
        """Ends the server in good order, by force after 20 s. Nothing happens if it does not run."""
        if self._main is not None:
            end_families([self._main.record], self._recipe.stop_signal, timedelta(seconds=20))
        self._forget()
        self._end_companions()

    def kill(self) -> None:
        """Ends the server as a crash would (SIGKILL). Its data stays as it is."""
        if self._main is not None:
            end_families([self._main.record], signal.SIGKILL, timedelta())
        self._forget()

    def _wait_until_it_answers(self, command: Command) -> None:
        deadline = time.monotonic() + self._recipe.start_within.total_seconds()
        while not self._recipe.answers():
            if self.pid is None:
                raise StackError(f"{self.name} ended while starting.{self._evidence(command)}")
            if self._given_up.is_set():
                raise StackError(f"the start of {self.name} was called off")
            if time.monotonic() > deadline:
                within = self._recipe.start_within.total_seconds()
                raise StackError(f"{self.name} did not answer within {within:.0f} s.{self._evidence(command)}")
            self._given_up.wait(POLL)

    def _evidence(self, command: Command) -> str:
        tail = log_tail(self._folder, command.log)
        return f" The end of {self._folder.logs / command.log}:\n{tail}"

    def _start_companions(self) -> None:
        running = [each for each in self._companions if each.process.poll() is None]
        if not running:
            self._companions = [
                launch(each, self._folder, self._ledger, new_log=not self._logs_begun)
                for each in self._recipe.companions()
            ]

    def _end_companions(self) -> None:
        end_families([each.record for each in self._companions], signal.SIGTERM, timedelta(seconds=2))
        for each in self._companions:
            each.process.wait()
            self._ledger.discard(each.record)
        self._companions = []

    def _forget(self) -> None:
        if self._main is not None:
            self._main.process.wait()
            self._ledger.discard(self._main.record)
            self._main = None
