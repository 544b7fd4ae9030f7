"""Clients written in JavaScript, run as processes that say what happens line by line."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.harness.npm import installed, node

PEERS = Path(__file__).parent / "peers"


def installed_peers() -> Path:
    """A folder with the peers and what they depend on."""
    return installed(PEERS)


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

    async def wish(self, **what: Any) -> None:
        """Tell a script that obeys what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(what) + b"\n")
        await self.process.stdin.drain()

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
    process = await asyncio.create_subprocess_exec(node(), script, *arguments, cwd=folder, stdin=PIPE, stdout=PIPE)
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
