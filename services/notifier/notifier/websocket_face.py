"""`/ws`: plain JSON, one text frame for each event, acknowledgements the other way."""

from typing import assert_never

from notifier import plain_json
from notifier.admit import Admission
from notifier.connections import Connection, End
from notifier.listen import Listener
from notifier.plain_json import Acknowledged, Nonsense, Unknown
from notifier.push import Pusher, Pushing
from notifier.socket import Socket
from notifier.subscribe import Delivery, NotRecovered, Subscription

HELP = 'not understood: send {"ack": <id>}'


class PlainJson:
    """Fulfils `socket_server.Conversation`."""

    name = "websocket"

    def __init__(self, pushing: Pushing) -> None:
        self._pushing = pushing

    async def talk(
        self, socket: Socket, connection: Connection, subscription: Subscription, admission: Admission
    ) -> None:
        """Push events, take acknowledgements."""

        async def send(delivery: Delivery) -> None:
            if isinstance(delivery, NotRecovered):
                await socket.send(plain_json.not_recovered(delivery.position))
            else:
                for notification in delivery:
                    await socket.send(plain_json.frame(notification))

        if admission.wants_hello:
            await socket.send(plain_json.subscribed(subscription.position))
        async with Pusher(self._pushing, subscription, connection, send=send) as pusher:
            pusher.start()
            listener = Listener(socket, connection)
            while (message := await listener.hear()) is not None:
                said = plain_json.read_client_message(message)
                match said:
                    case Acknowledged(position):
                        self._pushing.acknowledgements.note(admission.reader, position)
                    case Unknown():
                        listener.shrug()
                        await socket.send(plain_json.ignored(HELP))
                    case Nonsense():
                        connection.end(End.NONSENSE)
                    case _:
                        assert_never(said)

    async def say_goodbye(self, socket: Socket, why: End) -> None:
        """The close code says it all."""
