"""Installs RabbitMQ with apt where that is possible: as root, on Debian or Ubuntu."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.errors import StackError
from local_stack.rabbitmq import find_scripts

POLICY = Path("/usr/sbin/policy-rc.d")
WAYS_OUT = (
    "RabbitMQ is needed and not installed. Do one of these, then try again:\n"
    "  - install it:  sudo apt-get install rabbitmq-server   (Fedora: dnf, macOS: brew install rabbitmq)\n"
    "  - start Docker\n"
    "  - name a running server:  export RATCHET_AMQP_URL=amqp://user:password@host:5672/"
)


def provide_rabbitmq(say: Callable[[str], None]) -> Path:
    """The folder of RabbitMQ's programs; installs the Debian package first when it is missing and that is possible.

    Raises StackError (exit code 2) when RabbitMQ is missing and cannot be installed. Safe to repeat.
    """
    scripts = find_scripts()
    if scripts is not None:
        return scripts
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StackError(WAYS_OUT, exit_code=2)
    say("Installing RabbitMQ with apt (once, about half a minute) …")
    with no_service_starts():
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", "rabbitmq-server")
    if Path("/run/systemd/system").exists():
        # Nor is it to start with the machine: only the private node was asked for.
        subprocess.run(["systemctl", "disable", "--quiet", "rabbitmq-server"], capture_output=True, check=False)
    scripts = find_scripts()
    if scripts is None:
        raise StackError(f"apt installed rabbitmq-server, but its programs were not found.\n{WAYS_OUT}", exit_code=2)
    return scripts


@contextmanager
def no_service_starts() -> Iterator[None]:
    """While this is open, installing a package starts no system service (Debian's policy-rc.d).

    The package's own server would sit on the default ports of this machine; the stack runs a private one.
    A policy that is already there is left as it is.
    """
    if POLICY.exists() or POLICY.is_symlink():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _apt(*arguments: str) -> None:
    with tempfile.TemporaryFile() as output:
        result = subprocess.run(
            ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if result.returncode != 0:
            output.seek(0)
            tail = "\n".join(output.read().decode(errors="replace").splitlines()[-15:])
            raise StackError(f"`apt-get {' '.join(arguments)}` failed:\n{tail}\n\n{WAYS_OUT}", exit_code=2)
