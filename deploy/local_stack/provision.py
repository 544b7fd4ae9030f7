"""Decides between Docker and native processes, and starts the servers that are missing."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local_stack.docker_servers import (
    Client,
    DockerServer,
    Image,
    Probe,
    docker_client,
    remove_all,
)
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.native_server import NativeServer, Recipe
from local_stack.ports import private_ports
from local_stack.postgres import SETTINGS, PostgresRecipe
from local_stack.rabbitmq import PORT_NAMES, USER, RabbitmqRecipe
from local_stack.rabbitmq_install import provide_rabbitmq
from local_stack.secret_store import StackSecrets, stack_secrets
from local_stack.server_handles import OwnServer, RunningServers
from local_stack.server_urls import ALL, ServerUrls
from local_stack.valkey import ValkeyRecipe

Say = Callable[[str], None]
# Which way to take where several are open: "docker" or "native"; unset means the first that works.
CHOICE_VARIABLE = "RATCHET_SERVERS"
CHOICES = ("", "docker", "native")


def provide_servers(
    folder: StackFolder, missing: Sequence[str], environ: Mapping[str, str], say: Say
) -> RunningServers:
    """Starts the missing servers: with Docker if an engine answers, else as native processes. Raises StackError."""
    choice = environ.get(CHOICE_VARIABLE, "")
    if choice not in CHOICES:
        raise StackError(f"{CHOICE_VARIABLE} may be docker or native, or unset; it is {choice!r}.", exit_code=2)
    client = None if choice == "native" else docker_client()
    if client is not None:
        say(f"Starting {', '.join(missing)} with Docker …")
        try:
            return _started(_docker(folder, missing, client))
        except Exception as error:  # an engine can fail in many ways; there is another way to go on
            remove_all(folder, ALL, volumes=False, say=say)
            if choice == "docker":
                raise StackError(f"Docker could not provide the servers: {error}") from error
            say(f"Docker answers but cannot provide the servers ({error}); going on without it.")
    elif choice == "docker":
        raise StackError(f"{CHOICE_VARIABLE}=docker, but no Docker engine answers.", exit_code=2)
    return _started(_native(folder, missing, say))


def _started(servers: RunningServers) -> RunningServers:
    servers.start()
    return servers


def _native(folder: StackFolder, missing: Sequence[str], say: Say) -> RunningServers:
    scripts = provide_rabbitmq(say) if "rabbitmq" in missing else Path()
    say(f"Starting {', '.join(missing)} …")
    postgres, rabbitmq, valkey, _, _ = _recipes(folder, scripts)
    recipes: dict[str, Recipe] = {"postgres": postgres, "rabbitmq": rabbitmq, "valkey": valkey}
    own: dict[str, OwnServer] = {name: NativeServer(recipes[name], folder) for name in missing}
    urls = ServerUrls(postgres.url, rabbitmq.url(), valkey.url)
    return RunningServers(folder, urls, "native", own, rabbitmq.make_vhosts if "rabbitmq" in missing else None)


def _docker(folder: StackFolder, missing: Sequence[str], client: Client) -> RunningServers:
    postgres, rabbitmq, valkey, secrets, ports = _recipes(folder, Path())
    settings = {**SETTINGS, "listen_addresses": "*", "unix_socket_directories": "/var/run/postgresql"}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    images = {
        "postgres": Image(
            "postgres:18",
            5432,
            "/var/lib/postgresql",
            {"POSTGRES_PASSWORD": secrets.postgres_admin_password},
            ("postgres", *arguments),
        ),
        "rabbitmq": Image(
            "rabbitmq:4",
            5672,
            "/var/lib/rabbitmq",
            {"RABBITMQ_DEFAULT_USER": USER, "RABBITMQ_DEFAULT_PASS": secrets.rabbitmq_password},
        ),
        "valkey": Image(
            "valkey/valkey:9", 6379, "/data", {}, ("valkey-server", "--requirepass", secrets.valkey_password)
        ),
    }
    probes: dict[str, Probe] = {"postgres": postgres, "rabbitmq": rabbitmq, "valkey": valkey}
    own = {name: DockerServer(probes[name], folder, images[name], port=ports[name], client=client) for name in missing}
    urls = ServerUrls(postgres.url, rabbitmq.url(), valkey.url)
    broker = own.get("rabbitmq")
    make_vhosts = (lambda names: broker.make_vhosts(list(names), USER)) if broker else None
    return RunningServers(folder, urls, "docker", dict(own), make_vhosts)


def _recipes(
    folder: StackFolder, scripts: Path
) -> tuple[PostgresRecipe, RabbitmqRecipe, ValkeyRecipe, StackSecrets, dict[str, int]]:
    ports = private_ports(folder, ("postgres", "valkey", *PORT_NAMES))
    secrets = stack_secrets(folder)
    return (
        PostgresRecipe(folder, ports["postgres"], secrets),
        RabbitmqRecipe(folder, ports, secrets, scripts),
        ValkeyRecipe(folder, ports["valkey"], secrets.valkey_password),
        secrets,
        ports,
    )
