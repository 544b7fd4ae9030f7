"""The same three servers as containers, where a Docker engine answers."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from local_stack.errors import StackError
from local_stack.folder import StackFolder

Client = Any  # the `docker` package carries no types
POLL = 0.2
STOP_WITHIN = 20


class Probe(Protocol):
    """What of a server's recipe holds wherever the server runs."""

    name: str
    start_within: timedelta

    def answers(self) -> bool:
        """Whether the server can be used now."""

    def first_use(self) -> None:
        """What must be set up in the running server. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class Image:
    """How to run one server's image: `port` inside the container, `data` folder inside the container."""

    reference: str
    port: int
    data: str
    environ: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] | None = None


def docker_client() -> Client | None:
    """A client of the Docker engine that answers here; None when there is none."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return None  # the library would look nowhere else, and would leave an open socket behind
    try:
        # Here and not above: slow to load, and seldom needed.
        import docker  # type: ignore[import-untyped]  # it ships no types

        client = docker.from_env(timeout=2)
        client.ping()
        client.close()
        # Pulling an image takes longer than a greeting.
        return docker.from_env(timeout=600)
    except Exception:  # whatever goes wrong here, it means that no engine can be used
        return None


class DockerServer:
    """One server in one container with a fixed name, a fixed loopback port and a volume that outlives it."""

    def __init__(self, probe: Probe, folder: StackFolder, image: Image, *, port: int, client: Client) -> None:
        self._probe = probe
        self._title = container_name(folder, probe.name)
        self._image = image
        self._port = port
        self._client = client
        self._container: Any = None

    @property
    def name(self) -> str:
        """`postgres`, `rabbitmq` or `valkey`."""
        return self._probe.name

    @property
    def pid(self) -> int | None:
        """The pid of the server in its container as the host sees it; None while it is down."""
        if self._container is None:
            return None
        self._container.reload()
        return int(self._container.attrs["State"]["Pid"]) or None

    def start(self) -> None:
        """Starts the container and returns when the server answers. Nothing happens if it runs. Raises StackError."""
        if self.pid is not None:
            return
        if self._container is None:
            remove_container(self._client, self._title)
            self._container = self._client.containers.run(
                self._image.reference,
                command=list(self._image.command) if self._image.command else None,
                detach=True,
                name=self._title,
                hostname=self.name,
                environment=self._image.environ,
                ports={f"{self._image.port}/tcp": ("127.0.0.1", self._port)},
                volumes={self._title: {"bind": self._image.data, "mode": "rw"}},
            )
        else:
            self._container.start()
        self._wait_until_it_answers()
        self._probe.first_use()

    def give_up(self) -> None:
        """A start under way ends by itself at its deadline."""

    def stop(self) -> None:
        """Ends the server in good order and removes the container; the volume stays."""
        if self._container is not None:
            self._container.stop(timeout=STOP_WITHIN)
            self._container.remove(force=True)
            self._container = None

    def kill(self) -> None:
        """Ends the server as a crash would (SIGKILL). Its data stays as it is."""
        if self.pid is not None:
            self._container.kill()

    def make_vhosts(self, names: list[str], user: str) -> None:
        """Makes virtual hosts with all rights for the user (RabbitMQ only). Safe to repeat."""
        for name in names:
            for command in (
                ["rabbitmqctl", "add_vhost", name],
                ["rabbitmqctl", "set_permissions", "-p", name, user, ".*", ".*", ".*"],
            ):
                code, output = self._container.exec_run(command)
                if code != 0:
                    raise StackError(f"{' '.join(command)} failed:\n{output.decode(errors='replace')}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self._probe.start_within.total_seconds()
        while not self._probe.answers():
            if self.pid is None or time.monotonic() > deadline:
                log = self._container.logs(tail=15).decode(errors="replace")
                raise StackError(f"The container {self._title} does not answer. The end of its log:\n{log}")
            time.sleep(POLL)


def container_name(folder: StackFolder, server: str) -> str:
    """The name of the server's container and of its volume."""
    return f"ratchet-{folder.mark}-{server}"


def remove_container(client: Client, title: str) -> None:
    """Removes the container of this name if there is one. Safe to repeat."""
    for container in client.containers.list(all=True, filters={"name": f"^/{title}$"}):
        container.remove(force=True)


def remove_all(folder: StackFolder, servers: tuple[str, ...], *, volumes: bool, say: Callable[[str], None]) -> None:
    """Removes the folder's containers, and their data too if asked. Nothing happens without a Docker engine."""
    client = docker_client()
    if client is None:
        return
    for server in servers:
        title = container_name(folder, server)
        remove_container(client, title)
        if volumes:
            for volume in client.volumes.list(filters={"name": f"^{title}$"}):
                volume.remove(force=True)
                say(f"Removed the Docker volume {title}")
