"""uvicorn's websocket with one habit changed: its last word arrives, also at a client that is still sending."""

from asyncio import BaseTransport
from datetime import timedelta

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER = timedelta(seconds=5)
"""How long a client may go on sending after it was told that the connection ends."""


class LingeringWebSocket(WebSocketsSansIOProtocol):
    """After an error of the client's it passes over the rest until the client closes, or for `LINGER`.

    A connection that is closed while something unread lies in its buffer is reset. A client whose own write fails by
    that does not read the close frame any more and sees 1006 where it was told 1009, as npm's `ws` does (RFC 9112, 9.6
    describes the same for HTTP).
    """

    _is_lingering = False

    def connection_made(self, transport: BaseTransport) -> None:
        """A process that is leaving asks for the end of connections; a handshake with that in it would fail."""
        super().connection_made(transport)
        self.default_headers = [header for header in self.default_headers if header[0] != b"connection"]

    def data_received(self, data: bytes) -> None:
        """What comes after the end means nothing any more."""
        if not self._is_lingering:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Say the close code, send no more, and listen on for a while."""
        frame = self.conn.close_sent
        assert frame is not None  # the parser has put it there
        self._is_lingering = self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": frame.code, "reason": frame.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER.total_seconds(), self.transport.close)
        if self.transport.can_write_eof():
            self.transport.write_eof()
