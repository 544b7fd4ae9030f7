"""`/hubs/notifications`: the same events for unmodified SignalR clients.

A client that calls nothing gets what is new. `Ack(id)` remembers its place for the next connection; `Subscribe(after)`
goes back (or forward) to a place at once.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from notifier import signalr
from notifier.admit import Admission, Door, Refused
from notifier.connections import Connection, End
from notifier.listen import Listener
from notifier.plain_json import read_position
from notifier.push import KEEP_ALIVE, Pusher, Pushing
from notifier.signalr import Alive, Closed, Invocation, Malformed
from notifier.subscribe import Delivery, NotRecovered, Subscription

HANDSHAKE_LIMIT = timedelta(seconds=15)

CURSOR_GRACE = timedelta(milliseconds=300)
"""A client that means to call `Subscribe` does so right after connecting; until then nothing is pushed past it."""

RECORDS_IN_FRAME = 20


@dataclass(slots=True)
class _Call:
    """What one connection's hub methods work on."""

    websocket: WebSocket
    subscription: Subscription
    admission: Admission
    pusher: Pusher


class SignalRHub:
    """Fulfils `socket_server.Conversation`."""

    name = "signalr"

    def __init__(self, pushing: Pushing) -> None:
        self._pushing = pushing

    async def talk(
        self, websocket: WebSocket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        """Shake hands, push events, answer calls."""
        listener = Listener(websocket, connection)
        async with aclosing(listener.messages()) as frames:
            rest = await self._shake_hands(websocket, connection, frames)
            if rest is None:
                return

            async def send(delivery: Delivery) -> None:
                await _send(websocket, delivery)

            async with Pusher(self._pushing, subscription, connection, send=send, keep_alive=KEEP_ALIVE) as pusher:
                pusher.start(wait=timedelta(0) if admission.after is not None else CURSOR_GRACE)
                call = _Call(websocket, subscription, admission, pusher)
                goes_on = await self._answer_all(rest, call, listener)
                while goes_on and (frame := await anext(frames, None)) is not None:
                    goes_on = await self._answer_all(signalr.split(frame), call, listener)

    async def say_goodbye(self, websocket: WebSocket, why: End) -> None:
        """Tell the client whether to come back."""
        await websocket.send_text(signalr.close(None if why.is_worth_reconnecting else why.text))

    async def _shake_hands(
        self, websocket: WebSocket, connection: Connection, frames: AsyncGenerator[str | bytes, None]
    ) -> list[str] | None:
        frame = None
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDSHAKE_LIMIT.total_seconds()):
                frame = await anext(frames, None)
        if frame is None:
            connection.end(End.SILENT)
            return None
        first, *rest = signalr.split(frame) or [""]
        refusal = signalr.read_handshake(first).refusal
        if refusal is not None:
            await websocket.send_text(signalr.refuse(refusal))
            await websocket.close(1002, refusal)
            return None
        await websocket.send_text(signalr.ACCEPTED)
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
                    await call.websocket.close(1000)
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
            await call.websocket.send_text(signalr.result(invocation.invocation_id, answer))
        else:
            await call.websocket.send_text(signalr.failure(invocation.invocation_id, error))

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
            return refusal.response()
        connection_id = token_urlsafe(16)
        answer: dict[str, Any] = {"negotiateVersion": 0, "connectionId": connection_id}
        if request.query_params.get("negotiateVersion", "0") not in ("", "0"):
            answer |= {"negotiateVersion": 1, "connectionToken": token_urlsafe(16)}
        answer["availableTransports"] = [{"transport": "WebSockets", "transferFormats": ["Text"]}]
        return JSONResponse(answer, headers={"cache-control": "no-store"})


async def _send(websocket: WebSocket, delivery: Delivery) -> None:
    if isinstance(delivery, NotRecovered):
        await websocket.send_text(signalr.not_recovered(delivery.position))
    elif not delivery:
        await websocket.send_text(signalr.PING)
    else:
        for start in range(0, len(delivery), RECORDS_IN_FRAME):
            await websocket.send_text(signalr.push(delivery[start : start + RECORDS_IN_FRAME]))


def _position(arguments: tuple[Any, ...]) -> int | None:
    match arguments:
        case ({"after": value},) | (value,):
            return read_position(value)
        case _:
            return None
