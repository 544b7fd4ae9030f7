"""`/ws`: plain JSON, one text frame for each event, acknowledgements the other way."""

from contextlib import aclosing
from typing import assert_never

from starlette.websockets import WebSocket

from notifier import plain_json
from notifier.admit import Admission
from notifier.connections import Connection, End
from notifier.listen import Listener
from notifier.plain_json import Acknowledged, Nonsense, Unknown
from notifier.push import Pusher, Pushing
from notifier.subscribe import Delivery, NotRecovered, Subscription

HELP = 'not understood: send {"ack": <id>}'


class PlainJson:
    """Fulfils `socket_server.Conversation`."""

    name = "websocket"

    def __init__(self, pushing: Pushing) -> None:
        self._pushing = pushing

    async def talk(
        self, websocket: WebSocket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        """Push events, take acknowledgements."""

        async def send(delivery: Delivery) -> None:
            if isinstance(delivery, NotRecovered):
                await websocket.send_text(plain_json.not_recovered(delivery.position))
            else:
                for notification in delivery:
                    await websocket.send_text(plain_json.frame(notification))

        if websocket.query_params.get("hello") == "true":
            await websocket.send_text(plain_json.subscribed(subscription.position))
        async with Pusher(self._pushing, subscription, connection, send=send) as pusher:
            pusher.start()
            await self._listen(websocket, connection, admission)

    async def say_goodbye(self, websocket: WebSocket, why: End) -> None:
        """The close code says it all."""

    async def _listen(self, websocket: WebSocket, connection: Connection, admission: Admission) -> None:
        listener = Listener(websocket, connection)
        async with aclosing(listener.messages()) as messages:
            async for message in messages:
                said = plain_json.read_client_message(message)
                match said:
                    case Acknowledged(position):
                        self._pushing.acknowledgements.note(admission.reader, position)
                    case Unknown():
                        listener.shrug()
                        await websocket.send_text(plain_json.ignored(HELP))
                    case Nonsense():
                        connection.end(End.NONSENSE)
                    case _:
                        assert_never(said)
