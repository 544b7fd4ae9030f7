"""Finds a Chromium for the browser tests, or installs Debian's when that is possible without asking."""

import os
import shutil
import subprocess

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
    """A Chromium, installed now if there was none.

    Raises:
        subprocess.CalledProcessError: it could not be installed.
    """
    found = find_chromium()
    if found is None:
        environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-qq", *command], check=True, env=environ, capture_output=True, timeout=900)
        found = find_chromium()
    assert found is not None, WITHOUT
    return found
