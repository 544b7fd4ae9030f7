"""`GET /events`: Server-Sent Events, resumed by the browser itself with `Last-Event-ID`."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache

from ratchet.notifications import Notification
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from notifier.admit import Door, Refused
from notifier.connections import Connections
from notifier.push import KEEP_ALIVE, Pusher, Pushing
from notifier.subscribe import Delivery, NotRecovered

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies that gather answers before passing them on would gather for ever.
    (b"x-accel-buffering", b"no"),
]
HELLO = b"retry: 2000\n: connected\n\n"
ALIVE = b": alive\n\n"
CLOSE_LIMIT = timedelta(seconds=1)


class EventStream:
    """An ASGI app that serves streams, each for as long as it lasts."""

    def __init__(self, door: Door, connections: Connections, pushing: Pushing) -> None:
        self._door = door
        self._connections = connections
        self._pushing = pushing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the request to the end of the stream."""
        request = Request(scope, receive)
        try:
            admission = await self._door.admit(request, last_event_id=request.headers.get("last-event-id"))
            with self._connections.open("sse", admission.principal) as connection:
                subscription = await self._pushing.subscribe(admission)

                async def send_events(delivery: Delivery) -> None:
                    await send({"type": "http.response.body", "body": _block(delivery), "more_body": True})

                try:
                    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                    await send({"type": "http.response.body", "body": HELLO, "more_body": True})
                    async with Pusher(
                        self._pushing, subscription, connection, send=send_events, keep_alive=KEEP_ALIVE
                    ) as pusher:
                        pusher.start()
                        while (await receive())["type"] != "http.disconnect":
                            pass
                finally:
                    subscription.close()
        except Refused as refusal:
            self._pushing.metrics.refused.labels(refusal.reason).inc()
            await refusal.response()(scope, receive, send)
            return
        # The client reconnects by itself when a stream ends, whatever the reason.
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_LIMIT.total_seconds()):
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def _block(delivery: Delivery) -> bytes:
    if isinstance(delivery, NotRecovered):
        # A block without data dispatches no event but moves the browser's cursor to where events go on.
        return b'id: %d\n\nevent: NOT_RECOVERED\ndata: {"after":%d}\n\n' % (delivery.position, delivery.position)
    return b"".join(map(_event, delivery)) or ALIVE


@lru_cache(maxsize=1024)
def _event(notification: Notification) -> bytes:
    return f"id: {notification.seq}\nevent: {notification.type}\ndata: {notification.data}\n\n".encode()
