"""Finds a Chromium for the browser tests, or installs Debian's when that is possible without asking."""

import ctypes.util
import os
import shutil
import subprocess
from collections.abc import Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
WITHOUT = "Browser tests are left out: no Chromium. Install one (Debian: apt-get install chromium), or set CHROMIUM."


def find_chromium() -> str | None:
    """The program's path: the variable CHROMIUM, else what is on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def can_install() -> bool:
    """Root on a system with apt may install packages; nobody else is asked for a password in the middle of tests."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def chromium() -> str:
    """A Chromium that the tests can drive; what is missing for that is installed now where it may be.

    Raises:
        subprocess.CalledProcessError: it could not be installed.
    """
    if can_install() and (missing := list(_missing_packages())):
        environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            subprocess.run(["apt-get", "-qq", *command], check=True, env=environ, capture_output=True, timeout=900)
    found = find_chromium()
    assert found is not None, WITHOUT
    return found


def _missing_packages() -> Iterator[str]:
    if find_chromium() is None:
        yield "chromium"
    # Playwright's own Node needs it; Debian 13's Chromium happens to bring it along, Debian 12's does not.
    if ctypes.util.find_library("atomic") is None:
        yield "libatomic1"
