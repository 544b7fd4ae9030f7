"""The four services of Ratchet on this machine: their ports, their environment, how they are started."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.ports import is_free, private_ports
from local_stack.secret_store import stack_secrets
from local_stack.server_urls import ServerUrls
from local_stack.service_keeper import Service

EXAMPLES = "order_fulfilment,document_approval"
MOST_EXECUTORS = 32
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of service: the module that runs it, its contract port, and the word in its variables' names."""

    module: str
    port: int
    word: str

    @property
    def port_variable(self) -> str:
        """The variable that sets its port."""
        return f"RATCHET_{self.word}_PORT"

    @property
    def url_variable(self) -> str:
        """The variable that tells where it is."""
        return f"RATCHET_{self.word}_URL"

    @property
    def pid_variable(self) -> str:
        """The variable that tells its process id."""
        return f"RATCHET_{self.word}_PID"

    @property
    def name(self) -> str:
        """Its name in logs and messages."""
        return self.module.replace("_", "-")


API = Kind("admin_api", 8080, "API")
NOTIFIER = Kind("notifier", 8081, "NOTIFIER")
EXECUTOR = Kind("executor", 8082, "EXECUTOR")
RECOVERY = Kind("recovery", 8083, "RECOVERY")
KINDS = (EXECUTOR, RECOVERY, NOTIFIER, API)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What runs, and the settings (all `RATCHET_…`) that describe it to services, tools and people."""

    services: tuple[Service, ...]
    settings: Mapping[str, str]

    def url_of(self, kind: Kind) -> str:
        """Where the (first) service of this kind is."""
        return self.settings[kind.url_variable]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller asks for. `private_ports`: take free ports rather than the contract's 8080 to 8083."""

    environ: Mapping[str, str]
    executors: int = 1
    private_ports: bool = False


def check_wishes(wishes: Wishes) -> None:
    """Raises StackError when a port that the caller chose is taken or a number makes no sense."""
    if not 1 <= wishes.executors <= MOST_EXECUTORS:
        raise StackError(f"EXECUTORS must be between 1 and {MOST_EXECUTORS}, not {wishes.executors}.")
    for kind in KINDS:
        _given_port(kind, wishes)


def plan_services(folder: StackFolder, urls: ServerUrls, wishes: Wishes, say: Callable[[str], None]) -> ServicePlan:
    """Chooses ports and settings. What the caller's environment says wins; secrets are made once and kept.

    Raises StackError when a wish cannot be granted.
    """
    check_wishes(wishes)
    ports = _ports(folder, wishes, say)
    settings = _settings(folder, urls, wishes.environ, ports)
    environ = {**wishes.environ, **settings}
    services = [_service(kind, kind.name, kind.pid_variable, environ) for kind in KINDS]
    for number in range(2, wishes.executors + 1):
        name = f"{EXECUTOR.name}-{number}"
        own_url = f"RATCHET_EXECUTOR_{number}_URL"
        port = private_ports(folder, [name])[name]
        settings[own_url] = f"http://127.0.0.1:{port}"
        another = {**environ, EXECUTOR.port_variable: str(port), EXECUTOR.url_variable: settings[own_url]}
        services.append(_service(EXECUTOR, name, f"RATCHET_EXECUTOR_{number}_PID", another))
    return ServicePlan(tuple(services), settings)


def _service(kind: Kind, name: str, pid_variable: str, environ: Mapping[str, str]) -> Service:
    arguments = (sys.executable, "-m", kind.module)
    return Service(name, arguments, int(environ[kind.port_variable]), pid_variable, environ, keeps_port=True)


def _ports(folder: StackFolder, wishes: Wishes, say: Callable[[str], None]) -> dict[Kind, int]:
    ports: dict[Kind, int] = {}
    for kind in KINDS:
        given = _given_port(kind, wishes)
        if given is not None:
            ports[kind] = given
        elif not wishes.private_ports and is_free(kind.port):
            ports[kind] = kind.port
        else:
            ports[kind] = private_ports(folder, [kind.name])[kind.name]
            if not wishes.private_ports:
                say(f"Port {kind.port} is taken, so {kind.name} gets {ports[kind]} (choose with {kind.port_variable}).")
    if len(set(ports.values())) < len(ports):
        raise StackError("Two services were given the same port: look at the variables RATCHET_…_PORT.")
    return ports


def _given_port(kind: Kind, wishes: Wishes) -> int | None:
    wanted = wishes.environ.get(kind.port_variable, "")
    if not wanted:
        return None
    if not wanted.isdecimal() or not 1 <= int(wanted) <= HIGHEST_PORT:
        raise StackError(f"{kind.port_variable}={wanted} is no port: choose one between 1 and {HIGHEST_PORT}.")
    if not is_free(int(wanted)):
        raise StackError(f"Port {wanted} ({kind.port_variable}) is taken: end what listens there, or choose another.")
    return int(wanted)


def _settings(
    folder: StackFolder, urls: ServerUrls, environ: Mapping[str, str], ports: Mapping[Kind, int]
) -> dict[str, str]:
    settings = urls.as_environ()
    if environ.get("RATCHET_JWT_SECRET"):
        settings["RATCHET_JWT_SECRET"] = environ["RATCHET_JWT_SECRET"]
    elif not environ.get("RATCHET_JWT_JWKS_URL"):
        settings["RATCHET_JWT_SECRET"] = stack_secrets(folder).jwt_secret
    settings["RATCHET_WORKFLOWS"] = environ.get("RATCHET_WORKFLOWS") or EXAMPLES
    for kind, port in ports.items():
        settings[kind.port_variable] = str(port)
        settings[kind.url_variable] = f"http://127.0.0.1:{port}"
    # The dashboard's page opens sockets to the notifier, which lets in only origins that it knows.
    origins = f"http://127.0.0.1:{ports[API]},http://localhost:{ports[API]}"
    settings["RATCHET_ALLOWED_ORIGINS"] = environ.get("RATCHET_ALLOWED_ORIGINS") or origins
    return settings
