"""Thousands of websocket clients in one process, as cheap as they can be made: what is measured is the server."""

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

Heard = Callable[[bytes], None]

_PING, _PONG, _CLOSE = 0x9, 0xA, 0x8
_MASK = b"\x00\x00\x00\x00"


class ThinSocket(asyncio.Protocol):
    """A client that shakes hands, answers pings and hands text frames on."""

    def __init__(self, request: bytes, heard: Heard) -> None:
        self._request = request
        self._heard = heard
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take what is complete."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self.opened.done():
            head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            status = head.split(b"\r\n", 1)[0]
            if b" 101 " not in status + b" ":
                self.opened.set_exception(ConnectionError(status.decode()))
                return
            self.opened.set_result(None)
        self._frames()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the handshake."""
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed during the handshake"))

    def close(self) -> None:
        """Leave without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _frames(self) -> None:
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2:
            length, body = buffer[start + 1] & 0x7F, start + 2
            if length == 126:
                if len(buffer) - start < 4:
                    break
                length, body = struct.unpack_from("!H", buffer, start + 2)[0], start + 4
            elif length == 127:
                if len(buffer) - start < 10:
                    break
                length, body = struct.unpack_from("!Q", buffer, start + 2)[0], start + 10
            if len(buffer) < body + length:
                break
            self._frame(buffer[start] & 0x0F, buffer[body : body + length])
            start = body + length
        self._buffer = buffer[start:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING and self._transport is not None:
            self._transport.write(bytes((0x80 | _PONG, 0x80 | len(payload))) + _MASK + payload)
        elif opcode not in (_PING, _PONG, _CLOSE):
            self._heard(payload)


async def open_socket(url: str, heard: Heard, *, token: str | None = None) -> ThinSocket:
    """Connect one; raises ConnectionError when it is refused."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    ]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    loop = asyncio.get_running_loop()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    _transport, socket = await loop.create_connection(lambda: ThinSocket(request, heard), host, port)
    await socket.opened
    return socket
