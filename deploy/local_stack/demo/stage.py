"""The demo's platform: private servers, the four services, and one more executor that may be killed."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ratchet.client import Endpoints

from local_stack.demo.outside_world import running_outside_world
from local_stack.demo.play import OWNER, Platform
from local_stack.folder import StackFolder
from local_stack.ports import private_ports
from local_stack.running_platform import RunningPlatform, running_platform
from local_stack.servers import own_servers
from local_stack.services import EXECUTOR, Wishes
from local_stack.supervisor import READY_WITHIN, Service

CARRIER = "executor-drone"
WORKFLOWS = "demo_orders"


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything is running."""

    platform: Platform
    folder: StackFolder
    dashboard: str


@contextmanager
def set_stage(root: Path, say: Callable[[str], None]) -> Iterator[Stage]:
    """Everything for one demo, on free ports and fresh data below `root`; nothing is left running afterwards.

    Raises StackError when something cannot be started.
    """
    with own_servers(root, say=say, fresh=True) as servers:
        say(f"Servers ready ({servers.kind}). Starting the four services, and an executor for the drone …")
        wishes = Wishes(_environment(os.environ), private_ports=True)
        with (
            running_platform(servers.folder, servers.urls, wishes, say=say) as running,
            running_outside_world() as world,
        ):
            _add_carrier(running)
            token = running.token(OWNER, "user")
            platform = Platform(
                endpoints=Endpoints(running.api_url, running.notifier_url, token=lambda: token),
                amqp_url=servers.amqp_url,
                world=world,
                kill_carrier=lambda: _kill(running),
            )
            yield Stage(platform, servers.folder, f"{running.api_url}/")


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with the contract's defaults: what the demo promises was tried with those."""
    plain = {name: value for name, value in given.items() if not name.startswith("RATCHET_")}
    return plain | {"RATCHET_WORKFLOWS": WORKFLOWS}


def _add_carrier(running: RunningPlatform) -> None:
    port = private_ports(running.folder, [CARRIER])[CARRIER]
    environ = {**running.environ, EXECUTOR.port_variable: str(port), "RATCHET_POOLS": "drone"}
    arguments = (sys.executable, "-m", EXECUTOR.module)
    running.services.add(Service(CARRIER, arguments, port, "RATCHET_EXECUTOR_2_PID", environ))
    running.services.wait_ready(READY_WITHIN, names=[CARRIER])


def _kill(running: RunningPlatform) -> None:
    running.services.kill(CARRIER)
