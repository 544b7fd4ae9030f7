"""One websocket, as thin as it can be: thousands of them are held, and most of the work is sending on them."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MAX_REASON_BYTES = 123
"""A close frame carries 125 bytes, two of them for the code."""


class Gone(Exception):
    """The client has left, or the socket was closed."""


class Socket:
    """The ASGI callables of one websocket."""

    __slots__ = ("_receive", "_send", "is_accepted", "is_closed", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.is_accepted = False
        self.is_closed = False
        """The close frame is on its way, ours or the client's."""

    async def accept(self) -> None:
        """Complete the handshake; raises Gone."""
        await self._receive()  # the server announces the socket before it may be answered
        await self._say({"type": "websocket.accept"})
        self.is_accepted = True

    async def refuse(self, response: Response) -> None:
        """Answer the handshake with something else than a socket."""
        self.is_closed = True
        await response(self.scope, self._receive, self._send)

    async def receive(self) -> str | bytes | None:
        """What the client says next; None when it leaves."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self.is_closed = True
            return None
        text: str | None = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def send(self, text: str) -> None:
        """Send a text frame; waits while the client reads too slowly; raises Gone."""
        await self._say({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, with as much of the reason as a close frame carries; raises Gone."""
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        await self._say({"type": "websocket.close", "code": code, "reason": short})
        self.is_closed = True

    async def _say(self, message: dict[str, object]) -> None:
        if self.is_closed:
            raise Gone
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:  # how servers say that the connection is lost, or closed by them
            raise Gone from error
