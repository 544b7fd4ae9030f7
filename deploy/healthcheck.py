"""Asks the service in this container whether it lives; exits 0 if so. Only the standard library: it has to be quick."""
# ruff: noqa: INP001 - a script that is copied into the image, no package

import os
import sys
from http.client import HTTPException
from urllib.request import urlopen

DEFAULT_PORTS = {
    "RATCHET_API_PORT": 8080,
    "RATCHET_NOTIFIER_PORT": 8081,
    "RATCHET_EXECUTOR_PORT": 8082,
    "RATCHET_RECOVERY_PORT": 8083,
}
SECONDS = 3


def is_alive(port: int) -> bool:
    """Whether a service answers `/healthz` with 200 on this container's own loopback address."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def main() -> int:
    """A container runs one service, so whichever of the four ports answers is its own."""
    ports = [int(os.environ.get(name) or default) for name, default in DEFAULT_PORTS.items()]
    return 0 if any(map(is_alive, ports)) else 1


if __name__ == "__main__":
    sys.exit(main())
