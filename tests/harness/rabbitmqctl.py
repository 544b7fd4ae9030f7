"""Orders to the private broker that only its own tool can give."""

from local_stack.native_server import NativeServer
from local_stack.servers import RunningServers


def is_ours(servers: RunningServers) -> bool:
    """Whether the broker runs here as a process of this stack, so that it may be broken."""
    return isinstance(servers.own.get("rabbitmq"), NativeServer)


def rabbitmqctl(servers: RunningServers, *arguments: str) -> str:
    """Run `rabbitmqctl` and answer what it printed.

    Raises StackError when it fails, or when the broker is not ours.
    """
    return str(servers["rabbitmq"]._recipe.control(*arguments))  # type: ignore[attr-defined]  # only a native server has it
