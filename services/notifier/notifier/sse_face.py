"""`GET /events`: Server-Sent Events, resumed by the browser itself with `Last-Event-ID`."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache

from ratchet.notifications import Notification
from ratchet.problem_documents import CORRELATION_HEADER
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from notifier.admit import Admission, Door
from notifier.come_back import ComeBack
from notifier.connections import Connections
from notifier.push import KEEP_ALIVE, Pusher, Pushing
from notifier.refuse import Refused
from notifier.subscribe import Delivery, Newest, NotRecovered, Subscription

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies that gather answers before passing them on would gather for ever.
    (b"x-accel-buffering", b"no"),
]
HELLO = b"retry: 2000\n: connected\n\n"
ALIVE = b": alive\n\n"
CLOSE_LIMIT = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


class EventStream:
    """An ASGI app that serves streams, each for as long as it lasts."""

    def __init__(self, door: Door, connections: Connections, pushing: Pushing, come_back: ComeBack) -> None:
        self._door = door
        self._connections = connections
        self._pushing = pushing
        self._come_back = come_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the request to the end of the stream."""
        request = Request(scope, receive)
        has_begun = False
        try:
            admission = await self._door.admit(request, last_event_id=request.headers.get("last-event-id"))
            with self._connections.open("sse", admission.principal) as connection:
                subscription = await self._pushing.subscribe(admission)

                async def send_events(delivery: Delivery) -> None:
                    await send({"type": "http.response.body", "body": _block(delivery), "more_body": True})

                try:
                    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                    has_begun = True
                    await send(
                        {"type": "http.response.body", "body": _hello(admission, subscription), "more_body": True}
                    )
                    async with Pusher(
                        self._pushing, subscription, connection, send=send_events, keep_alive=KEEP_ALIVE
                    ) as pusher:
                        pusher.start()
                        while (await receive())["type"] != "http.disconnect":
                            pass
                finally:
                    subscription.close()
            if connection.ending is not None and not has_begun:
                raise connection.ending.refusal()
        except Refused as refusal:
            self._pushing.metrics.refused.labels(refusal.reason).inc()
            await self._answer(refusal, request)(scope, receive, send)
            return
        # The client reconnects by itself when a stream ends, whatever the reason.
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_LIMIT.total_seconds()):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _answer(self, refusal: Refused, request: Request) -> Response:
        problem = refusal.response(request)
        if not refusal.will_pass:
            return problem
        # An EventSource that gets anything but 200 never tries again; one whose stream ends does.
        wait = self._come_back.after(refusal.reason)
        text = f"retry: {wait / MILLISECOND:.0f}\n: {refusal.status} {refusal.reason}: {refusal.detail}\n\n"
        headers = {name.decode(): value.decode() for name, value in HEADERS}
        correlation_id = problem.headers[CORRELATION_HEADER]
        return Response(text.encode(), 200, headers | {CORRELATION_HEADER: correlation_id})


def _hello(admission: Admission, subscription: Subscription) -> bytes:
    if admission.after == Newest():
        # The browser has a place before the first event, so what comes while it is away is not passed over.
        return HELLO + b"id: %d\n\n" % subscription.position
    return HELLO


def _block(delivery: Delivery) -> bytes:
    if isinstance(delivery, NotRecovered):
        # A block without data dispatches no event but moves the browser's cursor to where events go on.
        return b'id: %d\n\nevent: NOT_RECOVERED\ndata: {"after":%d}\n\n' % (delivery.position, delivery.position)
    return b"".join(map(_event, delivery)) or ALIVE


@lru_cache(maxsize=1024)
def _event(notification: Notification) -> bytes:
    return f"id: {notification.seq}\nevent: {notification.type}\ndata: {notification.data}\n\n".encode()
