"""The network between the services and their servers: a TCP proxy for each server that can cut, delay and swallow."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from local_stack.server_urls import ALL, ServerUrls

CHUNK = 65536


@dataclass(slots=True)
class Proxy:
    """Passes everything on to one server, unless it is told otherwise."""

    host: str
    target_port: int
    port: int = 0
    delay: float = 0.0
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _pumps: set[asyncio.Task[None]] = field(default_factory=set)
    _listener: asyncio.Server | None = None

    async def listen(self) -> None:
        """Take connections on a free port of loopback."""
        self.flows.set()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset every connection there is, whatever is on its way."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        """End everything."""
        if self._listener is not None:
            self._listener.close()
        for pump in list(self._pumps):
            pump.cancel()
        await self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(self.host, self.target_port)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(CHUNK):
                await self.flows.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.close()


@dataclass(slots=True)
class Network:
    """One proxy for each server, in a thread of their own; every method may be called from any other thread."""

    proxies: dict[str, Proxy]
    urls: ServerUrls
    _loop: asyncio.AbstractEventLoop

    def cut(self) -> None:
        """Reset every connection to every server."""
        for proxy in self.proxies.values():
            self._run(proxy.cut())

    def set_delay(self, seconds: float) -> None:
        """Let every piece of data take so much longer, each way."""
        for proxy in self.proxies.values():
            proxy.delay = seconds

    def swallow(self, server: str, swallowed: bool) -> None:
        """Let nothing through to a server or back; nobody is told, as with a cable that was pulled."""
        flows = self.proxies[server].flows
        self._loop.call_soon_threadsafe(flows.clear if swallowed else flows.set)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


@contextmanager
def network_before(urls: ServerUrls) -> Iterator[Network]:
    """The proxies before the servers at these URLs; `urls` of the network lead through them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="network", daemon=True)
    thread.start()
    places = (urls.database_url, urls.amqp_url, urls.redis_url)
    parts = {name: urlsplit(url) for name, url in zip(ALL, places, strict=True)}
    proxies = {name: Proxy(part.hostname or "127.0.0.1", part.port or 0) for name, part in parts.items()}
    network = Network(proxies, urls, loop)
    for proxy in proxies.values():
        network._run(proxy.listen())
    moved = [
        urlunsplit(part._replace(netloc=part.netloc.replace(f":{part.port}", f":{proxies[name].port}")))
        for name, part in parts.items()
    ]
    network.urls = ServerUrls(*moved)
    try:
        yield network
    finally:
        for proxy in proxies.values():
            network._run(proxy.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
