"""The servers that run for one folder: where they are, and what tests and the process manager may do with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.native_server import Server
from local_stack.server_urls import VARIABLES, ServerUrls
from local_stack.together import together


class OwnServer(Server, Protocol):
    """A server of this stack's own, whose start can be called off."""

    def give_up(self) -> None:
        """Makes a start that is under way in another thread fail soon."""


@dataclass(slots=True)
class RunningServers:
    """The servers of one folder. A server that was named by URL is not ours to stop: it is missing in `own`."""

    folder: StackFolder
    urls: ServerUrls
    kind: str
    own: dict[str, OwnServer] = field(default_factory=dict)
    _make_vhosts: Callable[[Sequence[str]], None] | None = None

    @property
    def database_url(self) -> str:
        """Where Postgres is."""
        return self.urls.database_url

    @property
    def amqp_url(self) -> str:
        """Where RabbitMQ is."""
        return self.urls.amqp_url

    @property
    def redis_url(self) -> str:
        """Where Valkey or Redis is."""
        return self.urls.redis_url

    def __getitem__(self, name: str) -> Server:
        """The private server `postgres`, `rabbitmq` or `valkey`, for stopping, killing and starting it.

        Raises StackError when that server was named by URL.
        """
        if name not in self.own:
            raise StackError(f"{name} was named by {VARIABLES[name]}: it is not this stack's to stop.")
        return self.own[name]

    def create_vhosts(self, names: Sequence[str]) -> list[str]:
        """Makes virtual hosts on the private RabbitMQ (about a second for any number); answers their AMQP URLs.

        Raises StackError when RabbitMQ was named by URL. Safe to repeat.
        """
        if self._make_vhosts is None:
            raise StackError(f"{VARIABLES['rabbitmq']} names the RabbitMQ server: no virtual host can be made there.")
        self._make_vhosts(names)
        return [urlunsplit(urlsplit(self.amqp_url)._replace(path=f"/{name}")) for name in names]

    def start(self) -> None:
        """Starts this stack's own servers all at once; on failure none is left running. Raises StackError."""
        try:
            together([server.start for server in self.own.values()], on_trouble=self._give_up)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends all of this stack's own servers at the same time, in good order. Safe to repeat."""
        together([server.stop for server in self.own.values()])

    def _give_up(self) -> None:
        for server in self.own.values():
            server.give_up()
