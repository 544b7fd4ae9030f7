"""The command as a process of its own, and the client, both on the running platform."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ratchet.client import Client

from tests.harness.platform import Platform
from tests.harness.waiting import PATIENCE


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Command:
    """`ratchet` with an environment, in an empty folder."""

    environ: dict[str, str]
    folder: Path

    def __call__(self, *words: str, stdin: str | None = None) -> Ended:
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-W", "always::ResourceWarning", "-m", "ratchet.cli", *words],
            env=self.environ,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE.total_seconds(),
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr, time.monotonic() - begun)


@pytest.fixture
def ratchet(platform: Platform, tmp_path: Path) -> Command:
    """The command for the running platform."""
    return Command({**platform.running.environ, "NO_COLOR": "1"}, tmp_path)


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[Client]:
    """A client of somebody new, who is an admin."""
    person = platform.person("client", "admin")
    async with Client.from_env(platform.running.environ, token=lambda: person.token) as opened:
        yield opened
