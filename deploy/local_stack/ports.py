"""Private ports: chosen once, remembered, chosen anew only when somebody else has taken them."""

import json
import secrets
import socket
from collections.abc import Callable, Collection

from local_stack.errors import StackError
from local_stack.folder import StackFolder, read_json, write_private

# Below the range from which systems take the local ports of outgoing connections: a server that restarts
# on its old port must not find it used by some client's socket.
LOWEST, HIGHEST = 20_000, 29_999
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now, on the loopback address and on all addresses."""
    for address in ("127.0.0.1", ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError:
                return False
    return True


def choose_port(taken: Collection[int], free: Callable[[int], bool] = is_free) -> int:
    """A free port that is not in `taken`. Raises StackError when none was found."""
    for _ in range(ATTEMPTS):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST + 1)
        if port not in taken and free(port):
            return port
    raise StackError(f"Found no free port between {LOWEST} and {HIGHEST}. End some of what is listening there.")


def assign_ports(
    names: Collection[str], known: dict[str, int], free: Callable[[int], bool] = is_free
) -> dict[str, int]:
    """A port for every name: the known one while it is free, else a new one. Ports of other names stay reserved."""
    assigned = dict(known)
    for name in names:
        if name not in assigned or not free(assigned[name]):
            assigned[name] = choose_port(set(assigned.values()), free)
    return assigned


def private_ports(folder: StackFolder, names: Collection[str]) -> dict[str, int]:
    """The folder's ports for these names, remembered in `ports.json`. Call it while the folder is held."""
    known = {name: port for name, port in read_json(folder.ports_file).items() if isinstance(port, int)}
    assigned = assign_ports(names, known)
    if assigned != known:
        write_private(folder.ports_file, json.dumps(assigned, indent=2) + "\n")
    return {name: assigned[name] for name in names}
