"""A TCP proxy that cuts a connection just after passing on a statement: the server acts, the client never hears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class CuttingProxy:
    """Forwards everything; once armed, the next client bytes that hold `needle` are the last ones."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._needle: bytes | None = None
        self._delivers = True
        self.port = 0
        self.cuts = 0

    def arm(self, needle: bytes, *, delivers: bool = True) -> None:
        """Cut at the next bytes with `needle`; with `delivers` the server still gets them."""
        self._needle, self._delivers = needle, delivers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        back = asyncio.create_task(self._pump(server_reader, writer))
        try:
            while data := await reader.read(65536):
                hit = self._needle is not None and self._needle in data
                if hit:
                    self._needle = None
                    self.cuts += 1
                if not hit or self._delivers:
                    server_writer.write(data)
                    await server_writer.drain()
                if hit:
                    back.cancel()
                    # The server finishes what it was sent before it notices that nobody listens.
                    await asyncio.sleep(0.05)
                    break
        finally:
            back.cancel()
            writer.transport.abort()
            server_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def cutting_proxy(host: str, port: int) -> AsyncIterator[CuttingProxy]:
    """The proxy, listening on a free port of loopback."""
    proxy = CuttingProxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
