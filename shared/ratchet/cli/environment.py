"""The environment of a command: the process's own, completed by what a running platform left in `.ratchet/env`."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from ratchet.client.endpoints import is_loopback
from ratchet.client.errors import NotConfigured

FILE = Path(".ratchet") / "env"
PREFIX = "RATCHET_"


def environment(process: Mapping[str, str] | None = None, folder: Path | None = None) -> dict[str, str]:
    """Every `RATCHET_` variable: the process's value, else the one in `folder`'s `.ratchet/env`.

    Raises:
        NotConfigured: the process's token would go to an address on another machine that only the file names.
    """
    given = {name: value for name, value in (os.environ if process is None else process).items() if _is_ours(name)}
    file = _read((folder or Path.cwd()) / FILE)
    _refuse_to_leak_token(given, file)
    return file | given


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    values = dotenv_values(path, interpolate=False)
    return {name: value for name, value in values.items() if value is not None and _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX)


def _refuse_to_leak_token(given: Mapping[str, str], file: Mapping[str, str]) -> None:
    # A folder from elsewhere must not be able to have the caller's token sent to its own address.
    if "RATCHET_TOKEN" not in given:
        return
    for name in ("RATCHET_API_URL", "RATCHET_NOTIFIER_URL"):
        if name in file and name not in given and not is_loopback(file[name]):
            raise NotConfigured(
                f"{name} in {FILE} names another machine, and RATCHET_TOKEN would be sent there. "
                f"If that is right, set {name} in the environment too"
            )
