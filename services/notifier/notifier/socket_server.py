"""Serving websockets: the same frame around every protocol, from the handshake to the last word."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from notifier.admit import Admission, Door, Refused
from notifier.connections import Connection, Connections, End
from notifier.push import Pushing
from notifier.subscribe import Subscription

CLOSE_LIMIT = timedelta(seconds=1)


class Conversation(Protocol):
    """A protocol spoken over websockets."""

    name: str

    async def talk(
        self, websocket: WebSocket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        """Push and listen until the client leaves; raises WebSocketDisconnect if it left without a word."""

    async def say_goodbye(self, websocket: WebSocket, why: End) -> None:
        """What the protocol wants said before the socket is closed."""


class SocketServer:
    """Serves sockets of one protocol, each for as long as it lasts."""

    def __init__(self, conversation: Conversation, door: Door, connections: Connections, pushing: Pushing) -> None:
        self._conversation = conversation
        self._door = door
        self._connections = connections
        self._pushing = pushing

    async def serve(self, websocket: WebSocket) -> None:
        """From the handshake to the end of the socket."""
        try:
            admission = await self._door.admit(websocket)
            with self._connections.open(self._conversation.name, admission.principal) as connection:
                subscription = await self._pushing.subscribe(admission)
                try:
                    await websocket.accept()
                    with suppress(WebSocketDisconnect):
                        await self._conversation.talk(websocket, connection, subscription, admission)
                finally:
                    subscription.close()
        except Refused as refusal:
            self._pushing.metrics.refused.labels(refusal.reason).inc()
            await websocket.send_denial_response(refusal.response())
            return
        if connection.ending is not None:
            await self._close(websocket, connection.ending)

    async def _close(self, websocket: WebSocket, why: End) -> None:
        # Whoever stopped reading long ago is left to the server, whose TCP limit ends the connection.
        # RuntimeError: it was closed in the meantime.
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(CLOSE_LIMIT.total_seconds()):
                await self._conversation.say_goodbye(websocket, why)
                await websocket.close(why.code, why.text)
