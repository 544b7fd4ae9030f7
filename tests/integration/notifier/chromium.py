"""A real browser without a window, driven over its own debugging protocol."""

import asyncio
import itertools
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import websockets

from tests.browser.chromium import WITHOUT, find_chromium

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


def browser_program() -> str:
    """Chromium, as the dashboard's tests find it; where root may install it, that was done before the first test."""
    found = find_chromium()
    if found is None:
        pytest.skip(WITHOUT)
    return found


class Page:
    """One open page."""

    def __init__(self, wire: websockets.ClientConnection) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)

    async def open(self, url: str) -> None:
        """Load a page and wait until it is there."""
        await self._call("Page.enable")
        await self._call("Page.navigate", url=url)
        await self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        answer = await self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def wait_for(self, script: str, limit: float = 10.0) -> None:
        """Ask until the expression is true."""
        async with asyncio.timeout(limit):
            while not await self.run(script):  # noqa: ASYNC110  # what is asked lies in the browser
                await asyncio.sleep(0.02)

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._wire.send(orjson.dumps({"id": number, "method": method, "params": parameters}).decode())
        async with asyncio.timeout(20):
            while (message := orjson.loads(await self._wire.recv())).get("id") != number:
                pass
        assert "error" not in message, message
        return dict(message["result"])


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    """A fresh browser with one page."""
    program = await asyncio.to_thread(browser_program)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wire = await websockets.connect(await _page_address(Path(folder)), max_size=None, proxy=None)
            async with wire:
                yield Page(wire)
        finally:
            process.kill()
            await process.wait()


async def _page_address(folder: Path) -> str:
    port_file = folder / "DevToolsActivePort"
    async with asyncio.timeout(30), httpx2.AsyncClient() as http:
        while not port_file.exists() or not (lines := port_file.read_text().splitlines()):  # noqa: ASYNC110  # a file
            await asyncio.sleep(0.05)
        while True:
            targets = (await http.get(f"http://127.0.0.1:{lines[0]}/json")).json()
            for target in targets:
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)
