"""Clients written in JavaScript, run as processes that say what happens line by line."""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

PEERS = Path(__file__).parent / "peers"
STORE = Path(__file__).parents[3] / ".ratchet" / "npm"


def program(name: str) -> str:
    """Node and npm from the path, else those that came with the development dependencies."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is missing: run `make setup`, or install Node.js"
    return found


def installed_peers() -> Path:
    """A folder with the peers and what they depend on; installed once for each content of package.json."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(PEERS.iterdir()))).hexdigest()[:16]
    folder = STORE / digest
    if not folder.exists():
        STORE.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=STORE))
        for path in PEERS.iterdir():
            shutil.copy(path, fresh)
        command = [program("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=fresh, check=True, capture_output=True, timeout=100)
        try:
            fresh.rename(folder)
        except OSError:  # another run was quicker
            shutil.rmtree(fresh)
    return folder


@dataclass
class Peer:
    """A running client."""

    process: Process

    async def hear(self, limit: float = 10.0) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        async with asyncio.timeout(limit):
            line = await self.process.stdout.readline()
        assert line, "the client has ended"
        return dict(orjson.loads(line))

    async def hear_state(self, state: str, limit: float = 20.0) -> dict[str, Any]:
        """Wait until it says this state; events in between must not come."""
        said = await self.hear(limit)
        assert said.get("state") == state, said
        return said

    async def leave(self) -> None:
        """End it the polite way."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(10):
            await self.process.wait()


@asynccontextmanager
async def node_peer(script: str, *arguments: str) -> AsyncIterator[Peer]:
    """Run one of the scripts."""
    folder = await asyncio.to_thread(installed_peers)
    process = await asyncio.create_subprocess_exec(
        program("node"), script, *arguments, cwd=folder, stdin=PIPE, stdout=PIPE
    )
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
