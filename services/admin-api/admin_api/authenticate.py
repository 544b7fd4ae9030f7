"""Who is calling: nothing under `/api/` is reached, and no body is read, without a valid bearer token."""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Request, Security
from fastapi.security import HTTPBearer
from ratchet.tokens import InvalidToken, KeysUnavailable, Principal, TokenVerifier
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from admin_api.problems import Problem, ProblemType, correlation_of

PROTECTED = "/api/"

BEARER = HTTPBearer(
    scheme_name="bearer", bearerFormat="JWT", auto_error=False, description="`sub`, `exp`, and `roles` if any."
)


class Authenticate:
    """Puts the principal into the request's state, or raises Problem (401)."""

    def __init__(self, app: ASGIApp, verifier: TokenVerifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or not scope["path"].startswith(PROTECTED):
            await self._app(scope, receive, send)
            return
        principal = await self._verified(Headers(scope=scope).getlist("authorization"))
        scope["state"]["principal"] = principal
        with structlog.contextvars.bound_contextvars(principal=principal.sub):
            await self._app(scope, receive, send)

    async def _verified(self, headers: list[str]) -> Principal:
        scheme, _, token = headers[0].strip().partition(" ") if len(headers) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthenticated("Send `Authorization: Bearer <token>`, once.")
        try:
            return await self._verifier.verify(token.strip())
        except InvalidToken as error:
            raise unauthenticated(f"{error}.", error="invalid_token") from error
        except KeysUnavailable as error:
            raise Problem(
                ProblemType.UNAVAILABLE,
                "The keys that tokens are checked with cannot be fetched at the moment. Try again.",
                headers={"Retry-After": "5"},
            ) from error


def unauthenticated(detail: str, *, error: str | None = None) -> Problem:
    """A 401 with the challenge that RFC 6750 asks for."""
    challenge = 'Bearer realm="ratchet"' if error is None else f'Bearer realm="ratchet", error="{error}"'
    return Problem(ProblemType.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})


def principal_of(request: Request) -> Principal:
    """The principal that the middleware has found; refuses should a route ever be mounted outside of it."""
    principal = getattr(request.state, "principal", None)
    if not isinstance(principal, Principal):
        raise unauthenticated("Send `Authorization: Bearer <token>`, once.")
    return principal


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the id that the request goes by."""

    principal: Principal
    correlation_id: str

    @property
    def sub(self) -> str:
        """The principal's id."""
        return self.principal.sub


def _caller(request: Request, _scheme: Annotated[object, Security(BEARER)]) -> Caller:
    return Caller(principal_of(request), correlation_of(request))


CurrentCaller = Annotated[Caller, Security(_caller)]
