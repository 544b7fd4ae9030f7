"""Listening to a client: at a bounded rate, and with bounded patience for what means nothing."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

from starlette.websockets import WebSocket

from notifier.allowance import PATIENCE, TALK, Allowance
from notifier.connections import Connection, End

BREATH = timedelta(milliseconds=50)


class Listener:
    """One client's messages."""

    def __init__(self, websocket: WebSocket, connection: Connection) -> None:
        self._websocket = websocket
        self._connection = connection
        self._clock = asyncio.get_running_loop().time
        self._talk = Allowance(TALK)
        self._patience = Allowance(PATIENCE)

    async def messages(self) -> AsyncGenerator[str | bytes, None]:
        """Everything the client says, until it leaves."""
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            if not self._talk.take(self._clock()):
                # Nothing more is read from its socket meanwhile, so it is the client that has to wait.
                await asyncio.sleep(BREATH.total_seconds())
            text = message.get("text")
            yield text if text is not None else message.get("bytes") or b""

    def shrug(self) -> None:
        """That meant nothing. Said too often, the connection ends."""
        if not self._patience.take(self._clock()):
            self._connection.end(End.FLOOD)
