"""Request bodies: a size limit that also holds for chunked ones, and JSON read strictly."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from ratchet.domain.checkpoint import MAX_DEPTH, depth_of
from ratchet.exact_json import InexactJson, loads
from ratchet.messages.envelope import MAX_BODY_BYTES
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin_api.problems import Problem, ProblemType

# The body's own object lies around the input, which alone may be as deep as MAX_DEPTH.
_BODY_DEPTH = MAX_DEPTH + 1


class BodyLimit:
    """Raises Problem (413) as soon as a body is known to be larger than `limit` bytes."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            self._refuse()
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                self._refuse()
            return message

        await self._app(scope, limited, send)

    def _refuse(self) -> NoReturn:
        # The rest of the body is not read, so the connection cannot be used again.
        raise Problem(
            ProblemType.TOO_LARGE,
            f"A body may have at most {self._limit} bytes.",
            headers={"Connection": "close"},
        )


class StrictRoute(APIRoute):
    """A route whose JSON body is refused rather than guessed at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, given a request that parses strictly."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class _StrictRequest(Request):
    async def body(self) -> bytes:
        body = await super().body()
        if body and not _is_json(self.headers.get("content-type", "")):
            raise Problem(
                ProblemType.UNSUPPORTED_MEDIA_TYPE, "Send the body with `Content-Type: application/json`, in UTF-8."
            )
        return body

    async def json(self) -> Any:
        return parse(await self.body())


def parse(body: bytes) -> Any:
    """JSON without NaN and infinities, at most 100 levels deep below the top, every number as it was sent.

    Raises:
        Problem: 400 for what is not JSON, 422 for what is nested too deep or could not be kept exactly.
    """
    try:
        value = loads(body)
    except InexactJson as error:
        raise Problem(ProblemType.INVALID_REQUEST, f"{error}.") from error
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(ProblemType.MALFORMED_BODY, f"The body is not JSON in UTF-8{where}.") from error
    if depth_of(value) > _BODY_DEPTH:
        raise _too_deep()
    return value


def _too_deep() -> Problem:
    return Problem(ProblemType.INVALID_REQUEST, f"The body is nested deeper than {MAX_DEPTH} levels.")


def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")]
    return media_type == "application/json" and all(charset in {"utf-8", "utf8"} for charset in charsets)
