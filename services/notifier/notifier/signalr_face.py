"""`/hubs/notifications`: the same events for unmodified SignalR clients.

A client that calls nothing gets everything that is kept, at each connection. `Ack(id)` remembers its place for the next
one; `Subscribe(after)` goes back (or forward) to a place at once.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from notifier import signalr
from notifier.admit import Admission, Door
from notifier.connections import Connection, End
from notifier.listen import Listener
from notifier.plain_json import read_position
from notifier.push import KEEP_ALIVE, Pusher, Pushing
from notifier.refuse import Refused
from notifier.signalr import Alive, Closed, Invocation, Malformed
from notifier.socket import Socket
from notifier.subscribe import Delivery, NotRecovered, Subscription

HANDSHAKE_LIMIT = timedelta(seconds=15)

CURSOR_GRACE = timedelta(milliseconds=300)
"""A client that means to call `Subscribe` does so right after connecting; until then nothing is pushed past it."""


@dataclass(slots=True)
class _Call:
    """What one connection's hub methods work on."""

    socket: Socket
    subscription: Subscription
    admission: Admission
    pusher: Pusher


class SignalRHub:
    """Fulfils `socket_server.Conversation`."""

    name = "signalr"

    def __init__(self, pushing: Pushing) -> None:
        self._pushing = pushing

    async def talk(
        self, socket: Socket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        """Shake hands, push events, answer calls."""
        listener = Listener(socket, connection)
        records = await self._shake_hands(socket, connection, listener)
        if records is None:
            return

        async def send(delivery: Delivery) -> None:
            await _send(socket, delivery)

        async with Pusher(self._pushing, subscription, connection, send=send, keep_alive=KEEP_ALIVE) as pusher:
            pusher.start(wait=timedelta(0) if admission.after is not None else CURSOR_GRACE)
            call = _Call(socket, subscription, admission, pusher)
            while await self._answer_all(records, call, listener) and (frame := await listener.hear()) is not None:
                records = signalr.split(frame)

    async def say_goodbye(self, socket: Socket, why: End) -> None:
        """Tell the client whether to come back."""
        await socket.send(signalr.close(None if why.is_worth_reconnecting else why.text))

    async def _shake_hands(self, socket: Socket, connection: Connection, listener: Listener) -> list[str] | None:
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT.total_seconds()):
                frame = await listener.hear()
        except TimeoutError:
            connection.end(End.SILENT)
            return None
        if frame is None:
            return None
        first, *rest = signalr.split(frame) or [""]
        refusal = signalr.read_handshake(first).refusal
        if refusal is not None:
            await socket.send(signalr.refuse(refusal))
            await socket.close(1002, refusal)
            return None
        await socket.send(signalr.ACCEPTED)
        return rest

    async def _answer_all(self, records: list[str], call: _Call, listener: Listener) -> bool:
        for record in records:
            message = signalr.read_message(record)
            match message:
                case Invocation():
                    await self._answer(message, call, listener)
                case Alive():
                    pass
                case Malformed():
                    listener.shrug()
                case Closed():
                    await call.socket.close(1000, "")
                    return False
                case _:
                    assert_never(message)
        return True

    async def _answer(self, invocation: Invocation, call: _Call, listener: Listener) -> None:
        position = _position(invocation.arguments)
        match invocation.target.lower():
            case "ack" | "acknowledge" if position is not None:
                self._pushing.acknowledgements.note(call.admission.reader, position)
                answer, error = None, None
            case "subscribe" | "resume" if position is not None:
                answer, error = await self._move(call, position)
            case _:
                listener.shrug()
                answer, error = None, "No such method: call Ack(id) or Subscribe(after)"
        if invocation.invocation_id is None:
            return
        if error is None:
            await call.socket.send(signalr.result(invocation.invocation_id, answer))
        else:
            await call.socket.send(signalr.failure(invocation.invocation_id, error))

    async def _move(self, call: _Call, after: int) -> tuple[dict[str, Any] | None, str | None]:
        await call.pusher.stop()
        try:
            await call.subscription.start(after)
        except Exception:  # an outage, most likely: the client is told and may ask again
            return None, "The feed cannot be read at the moment: try again shortly"
        finally:
            call.pusher.start()
        position = call.subscription.position
        return {"recovered": position == after, "after": position}, None


class Negotiation:
    """`POST /hubs/notifications/negotiate`: any instance may answer it and another one take the socket."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def negotiate(self, request: Request) -> Response:
        """Offer websockets. The connection's token means nothing: who may connect is decided at the socket."""
        try:
            self._door.check_origin(request)
            # A one-time ticket is left for the socket that follows.
            if "ticket" not in request.query_params:
                self._door.reader(await self._door.identify(request), request)
        except Refused as refusal:
            return refusal.response(request)
        connection_id = token_urlsafe(16)
        answer: dict[str, Any] = {"negotiateVersion": 0, "connectionId": connection_id}
        if request.query_params.get("negotiateVersion", "0") not in ("", "0"):
            answer |= {"negotiateVersion": 1, "connectionToken": token_urlsafe(16)}
        answer["availableTransports"] = [{"transport": "WebSockets", "transferFormats": ["Text"]}]
        return JSONResponse(answer, headers={"cache-control": "no-store"})


async def _send(socket: Socket, delivery: Delivery) -> None:
    if isinstance(delivery, NotRecovered):
        await socket.send(signalr.not_recovered(delivery.position))
    elif not delivery:
        await socket.send(signalr.PING)
    else:
        await socket.send(signalr.push(delivery))


def _position(arguments: tuple[Any, ...]) -> int | None:
    match arguments:
        case ({"after": value},) | (value,):
            return read_position(value)
        case _:
            return None
