"""Makes the virtual environment: run by a plain `python3`, before anything is installed (standard library only)."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "requirements-dev.lock"
OLDEST = (3, 11)


def main() -> int:
    """Makes or refreshes the environment and answers the exit code. Safe to repeat; the second time takes no time."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--venv", type=Path, default=PROJECT / ".venv")
    venv: Path = arguments.parse_args().venv
    stamp = venv / ".installed"
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    began = time.monotonic()
    try:
        _make(venv)
        _install(venv)
    except SetupError as error:
        print(f"setup   {error}", file=sys.stderr)
        return 2
    stamp.write_text(wanted)
    print(f"setup   Ready after {time.monotonic() - began:.0f} s.", flush=True)
    return 0


class SetupError(Exception):
    """The environment cannot be made. The text says what to do."""


def fingerprint() -> str:
    """What the environment was made from: other locked packages or another Python make it stale."""
    described = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    # The settings of linters and tests stand in the same file and change nothing here.
    ours = [described["build-system"], described["project"], described["tool"]["hatch"]]
    content = [LOCK.read_text(), json.dumps(ours, sort_keys=True), sys.version, str(PROJECT)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _make(venv: Path) -> None:
    if sys.version_info < OLDEST:
        raise SetupError(
            f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12"
        )
    if (venv / "bin" / "python").exists() and _works(venv):
        return
    print(f"setup   Making {venv.name} with Python {sys.version.split()[0]} …", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            f"`python3 -m venv` failed:\n{made.stdout}{made.stderr}\n"
            f"On Debian and Ubuntu: sudo apt-get install python3-venv (or python{version}-venv)."
        )


def _works(venv: Path) -> bool:
    """Whether the environment has this Python and its own pip (it does not after a move or an upgrade)."""
    check = "import pip, sys; print(sys.version)"
    python = str(venv / "bin" / "python")
    try:
        result = subprocess.run([python, "-c", check], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return result.stdout.strip() == sys.version.strip()


def _install(venv: Path) -> None:
    count = sum("==" in line and not line.startswith((" ", "#")) for line in LOCK.read_text().splitlines())
    print(f"setup   Installing up to {count} packages, pinned and checked by hash …", flush=True)
    _pip(venv, count, ["--require-hashes", "-r", str(LOCK)])
    _pip(venv, 0, ["--no-deps", "--no-build-isolation", "-e", str(PROJECT)])


def _pip(venv: Path, count: int, arguments: list[str]) -> None:
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-input", "--progress-bar", "off", *arguments]
    log: list[str] = []
    environ = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    ) as pip:
        collected = 0
        for line in pip.stdout or ():
            log.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied")):
                collected += 1
                _progress(collected, count, line.split()[1].partition("==")[0])
            elif line.startswith("Installing collected packages"):
                _progress(count, count, "unpacking")
    if sys.stdout.isatty() and count:
        print()
    if pip.returncode != 0:
        raise SetupError("pip failed:\n" + "".join(log[-25:]))


def _progress(number: int, count: int, name: str) -> None:
    if not count:
        return
    if sys.stdout.isatty():
        print(f"\rsetup   {number:3}/{count} {name:<40.40}", end="", flush=True)
    elif number % 20 == 0:
        print(f"setup   {number}/{count}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
