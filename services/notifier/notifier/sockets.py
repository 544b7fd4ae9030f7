"""Where websockets go: past the middleware, which would do nothing for them but take memory and time on each send."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.refuse import Reason, Refused

NOT_FOUND = Refused(404, Reason.PATH, "There is no websocket here. Try /ws or /hubs/notifications")


class Sockets:
    """An ASGI app: websockets by their path, everything else to `beside`."""

    def __init__(self, faces: Mapping[str, ASGIApp], beside: ASGIApp) -> None:
        self._faces = faces
        self._beside = beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the app and hand over."""
        if scope["type"] != "websocket":
            await self._beside(scope, receive, send)
            return
        face = self._faces.get(scope["path"]) or NOT_FOUND.response(HTTPConnection(scope))
        await face(scope, receive, send)
