"""RabbitMQ as a native server: a private node with its own name, cookie, ports and epmd, beside any other node."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import aio_pika
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ProbableAuthenticationError,
)

from local_stack.apart import run_apart
from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private
from local_stack.launch import Command
from local_stack.secret_store import StackSecrets

USER = "ratchet"
FOREIGN_DATA = "RabbitMQ's data was made with another password (was secrets.json removed?). Run `make reset`."
PORT_NAMES = ("rabbitmq", "rabbitmq_distribution", "rabbitmq_epmd")
# The programs in sbin are wrappers that insist on the user "rabbitmq"; the package's own scripts do not.
SCRIPT_FOLDERS = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/lib64/rabbitmq/bin"))


def find_scripts() -> Path | None:
    """The folder with the package's `rabbitmq-server` and `rabbitmqctl`; None if RabbitMQ is not installed."""
    for folder in SCRIPT_FOLDERS:
        if (folder / "rabbitmq-server").exists():
            return folder
    found = shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found).resolve().parent if found else None


def find_epmd() -> str | None:
    """The Erlang port mapper's program; None if Erlang is not installed."""
    found = shutil.which("epmd", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/lib/erlang/bin")
    if found:
        return found
    erl = shutil.which("erl")
    beside = sorted(Path(erl).resolve().parent.parent.glob("**/epmd")) if erl else []
    return str(beside[0]) if beside else None


class RabbitmqRecipe:
    """One private node that listens on the loopback address only."""

    name = "rabbitmq"
    # The runtime answers it with an orderly stop of the whole node.
    stop_signal = signal.SIGTERM
    start_within = timedelta(seconds=120)

    def __init__(self, folder: StackFolder, ports: Mapping[str, int], secrets: StackSecrets, scripts: Path) -> None:
        self._folder = folder
        self._port, self._distribution_port, self._epmd_port = (ports[name] for name in PORT_NAMES)
        self._secrets = secrets
        self._scripts = scripts
        self._home = folder.data / self.name

    def url(self, vhost: str = "") -> str:
        """Where the virtual host is, user and password included; without a name the default one."""
        return f"amqp://{USER}:{self._secrets.rabbitmq_password}@127.0.0.1:{self._port}/{vhost}"

    def prepare(self) -> Command:
        """Makes the data folder and the configuration as far as they are missing; answers what to run."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        cookie = self._home / ".erlang.cookie"
        write_private(cookie, self._secrets.erlang_cookie)
        cookie.chmod(0o400)
        write_private(self._home / "enabled_plugins", "[].\n")
        write_private(self._home / "rabbitmq-env.conf", "")
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self._port}",
            f"default_user = {USER}",
            f"default_pass = {self._secrets.rabbitmq_password}",
            "disk_free_limit.absolute = 50MB",
            "vm_memory_high_watermark.relative = 0.4",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
        ]
        write_private(self._home / "rabbitmq.conf", "\n".join(lines) + "\n")
        server = str(self._scripts / "rabbitmq-server")
        return Command(self.name, (server,), "rabbitmq.log", self._environment(), self._home)

    def companions(self) -> Sequence[Command]:
        """The Erlang port mapper, private to this node. Raises StackError when it is not installed."""
        epmd = find_epmd()
        if epmd is None:
            raise StackError("RabbitMQ is installed but Erlang's `epmd` is not on the PATH.", exit_code=2)
        # Started here and in the foreground: a node that starts its own makes a daemon that outlives it.
        arguments = (epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1")
        return (Command("epmd", arguments, "epmd.log", self._environment(), self._home),)

    def answers(self) -> bool:
        """Whether it takes logins. Raises StackError when its data belongs to other passwords."""
        try:
            # The client library logs every refused attempt, so it is asked only once somebody listens.
            socket.create_connection(("127.0.0.1", self._port), timeout=2).close()
            run_apart(_connect_once(self.url()))
        except (AuthenticationError, ProbableAuthenticationError) as error:
            raise StackError(FOREIGN_DATA) from error
        except (AMQPError, OSError, TimeoutError):
            return False
        return True

    def first_use(self) -> None:
        """Nothing has to be set up: the node makes its user at its first start."""

    def make_vhosts(self, names: Sequence[str]) -> None:
        """Makes virtual hosts with all rights for the stack's user, in one call. Safe to repeat."""
        definitions = vhost_definitions(names)
        with tempfile.NamedTemporaryFile("w", dir=self._home, suffix=".json") as file:
            file.write(definitions)
            file.flush()
            self.control("import_definitions", file.name)

    def control(self, *arguments: str) -> str:
        """Runs `rabbitmqctl` against this node and answers what it printed. Raises StackError when it fails."""
        result = subprocess.run(
            [str(self._scripts / "rabbitmqctl"), "-q", *arguments],
            env=self._environment(),
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise StackError(f"rabbitmqctl {arguments[0]} failed:\n{result.stderr or result.stdout}")
        return result.stdout

    def _environment(self) -> dict[str, str]:
        foreign = ("RABBITMQ_", "ERL_", "NOTIFY_SOCKET")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{kept.get('PATH', '')}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        # A scheduler that has nothing to do would spin for a while, on cores that others here have work for.
        no_spinning = "+sbwt none +sbwtdcpu none +sbwtdio none"
        return {
            **kept,
            "PATH": path,
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"ratchet-{self._folder.mark}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._home / "advanced"),
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._home / "nodes"),
            "RABBITMQ_LOG_BASE": str(self._home / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} {no_spinning}",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            # The script then becomes the node itself instead of a shell that waits for it: one pid, one signal.
            "RABBITMQ_ALLOW_INPUT": "1",
        }


def vhost_definitions(names: Sequence[str]) -> str:
    """RabbitMQ definitions (JSON) of virtual hosts that the stack's user may use."""
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    permissions = [{"user": USER, "vhost": name, **everything} for name in names]
    return json.dumps({"vhosts": [{"name": name} for name in names], "permissions": permissions})


async def _connect_once(url: str) -> None:
    connection = await aio_pika.connect(url, timeout=5)
    await connection.close()
