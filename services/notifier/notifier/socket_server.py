"""Serving websockets: the same frame around every protocol, from the handshake to the last word."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

import structlog
from ratchet.service import UNREAD_LIMIT
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from notifier.admit import Admission, Door
from notifier.connections import Connection, Connections, End
from notifier.push import Pushing
from notifier.refuse import Refused
from notifier.socket import Gone, Socket
from notifier.subscribe import Subscription

CLOSE_LIMIT = timedelta(seconds=1)
SLOW_CLOSE_LIMIT = UNREAD_LIMIT
"""Whoever reads again before the kernel ends the connection is told why it was cut off."""

log = structlog.get_logger()


class Conversation(Protocol):
    """A protocol spoken over websockets."""

    name: str

    async def talk(
        self, socket: Socket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        """Push and listen until the client leaves; may raise Gone."""

    async def say_goodbye(self, socket: Socket, why: End) -> None:
        """What the protocol wants said before the socket is closed; may raise Gone."""


class SocketServer:
    """An ASGI app that serves sockets of one protocol, each for as long as it lasts."""

    def __init__(self, conversation: Conversation, door: Door, connections: Connections, pushing: Pushing) -> None:
        self._conversation = conversation
        self._door = door
        self._connections = connections
        self._pushing = pushing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the handshake to the end of the socket."""
        socket = Socket(scope, receive, send)
        try:
            admission = await self._door.admit(HTTPConnection(scope))
            with self._connections.open(self._conversation.name, admission.principal) as connection:
                subscription = await self._pushing.subscribe(admission)
                try:
                    with suppress(Gone):
                        await socket.accept()
                        await self._talk(socket, connection, subscription, admission)
                finally:
                    subscription.close()
            if connection.ending is not None and not socket.is_accepted:
                raise connection.ending.refusal()
        except Refused as refusal:
            self._pushing.metrics.refused.labels(refusal.reason).inc()
            await socket.refuse(refusal.response(HTTPConnection(scope)))
            return
        if not socket.is_closed:
            await self._close(socket, connection.ending or End.FAILED)

    async def _talk(
        self, socket: Socket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        try:
            await self._conversation.talk(socket, connection, subscription, admission)
        except Gone:
            raise
        except Exception:  # whatever it is, the client is told to come back
            log.exception("connection.failed", face=connection.face)
            connection.end(End.FAILED)
        # An end that the conversation itself has asked for takes effect when it next waits: here at the latest.
        await asyncio.sleep(0)

    async def _close(self, socket: Socket, why: End) -> None:
        # Whoever stopped reading long ago is left to the server, whose TCP limit ends the connection.
        limit = SLOW_CLOSE_LIMIT if why is End.SLOW else CLOSE_LIMIT
        with suppress(TimeoutError, Gone):
            async with asyncio.timeout(limit.total_seconds()):
                await self._conversation.say_goodbye(socket, why)
                await socket.close(why.code, why.text)
