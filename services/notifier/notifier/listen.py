"""Listening to a client: at a bounded rate, and with bounded patience for what means nothing."""

import asyncio
from datetime import timedelta

from notifier.allowance import PATIENCE, TALK, Allowance
from notifier.connections import Connection, End
from notifier.socket import Socket

BREATH = timedelta(milliseconds=50)


class Listener:
    """One client's messages."""

    __slots__ = ("_clock", "_connection", "_patience", "_socket", "_talk")

    def __init__(self, socket: Socket, connection: Connection) -> None:
        self._socket = socket
        self._connection = connection
        self._clock = asyncio.get_running_loop().time
        self._talk = Allowance(TALK)
        self._patience = Allowance(PATIENCE)

    async def hear(self) -> str | bytes | None:
        """What the client says next; None when it leaves."""
        message = await self._socket.receive()
        if message is not None and not self._talk.take(self._clock()):
            # Nothing more is read from its socket meanwhile, so it is the client that has to wait.
            await asyncio.sleep(BREATH.total_seconds())
        return message

    def shrug(self) -> None:
        """That meant nothing. Said too often, the connection ends."""
        if not self._patience.take(self._clock()):
            self._connection.end(End.FLOOD)
