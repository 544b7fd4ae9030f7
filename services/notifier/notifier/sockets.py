"""Where websockets go: past the middleware, which would do nothing for them but take memory and time on each send."""

from collections.abc import Mapping

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NOT_FOUND = PlainTextResponse("There is no websocket here. Try /ws or /hubs/notifications", status_code=404)


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
        await self._faces.get(scope["path"], NOT_FOUND)(scope, receive, send)
