"""One visit to a page: who is there, and how handlers are let be sure of it."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from httpx2 import AsyncClient
from ratchet.tokens import InvalidToken, KeysUnavailable, Principal, TokenVerifier
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from admin_api.dashboard import session
from admin_api.dashboard.own_api import OwnApi, Refused
from admin_api.dashboard.render import render
from admin_api.problems import correlation_of


@dataclass(frozen=True, slots=True)
class Desk:
    """What all pages work with."""

    http: AsyncClient
    verifier: TokenVerifier


@dataclass(frozen=True, slots=True)
class Visit:
    """A signed-in person in front of a page."""

    request: Request
    principal: Principal
    token: str
    api: OwnApi
    form: dict[str, str] = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        """The page's parameters; the last of each name counts."""
        return dict(self.request.query_params)

    def id_of(self, name: str) -> str:
        """An id from the page's address, fit for an address of the API."""
        return quote(self.request.path_params[name], safe="")

    def page(self, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """A whole page or a piece of one."""
        shared = {
            "me": self.principal,
            "csrf": session.form_token(self.token),
            "path": self.request.url.path,
            "query": self.query,
            "here": self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else ""),
        }
        return HTMLResponse(render(template, **shared, **context), status)


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def reading(handler: Handler) -> Endpoint:
    """An endpoint for whoever is signed in; everybody else is asked to sign in."""

    async def endpoint(request: Request) -> Response:
        visit = await _visit(request)
        if isinstance(visit, Response):
            return visit
        return await _answer(handler, visit)

    return endpoint


def acting(handler: Handler) -> Endpoint:
    """An endpoint for a form of ours, posted from one of our pages in the same session; nothing else gets through."""

    async def endpoint(request: Request) -> Response:
        visit = await _visit(request)
        if isinstance(visit, Response):
            return visit
        form = await session.form_of(request)
        own = session.is_own_form(form.get("csrf", ""), visit.token) and session.is_from_here(request.headers)
        if not own:
            return visit.page(
                "problem.html", status=403, problem=FOREIGN_FORM | {"correlationId": correlation_of(request)}
            )
        return await _answer(handler, Visit(request, visit.principal, visit.token, visit.api, form))

    return endpoint


FOREIGN_FORM = {
    "title": "This form is not from this session",
    "status": 403,
    "detail": "You may have signed in again since the page was opened. Open it once more and repeat what you did.",
}


def desk_of(request: Request) -> Desk:
    """The running app's own."""
    found = request.app.state.desk
    if not isinstance(found, Desk):
        raise TypeError("the dashboard has not been set up")
    return found


async def principal_of(desk: Desk, token: str | None) -> Principal | None:
    """Whom a token speaks for; None for one that is not valid."""
    if not token:
        return None
    try:
        return await desk.verifier.verify(token)
    except InvalidToken:
        return None


async def _visit(request: Request) -> Visit | Response:
    desk, token = desk_of(request), session.token_of(request)
    try:
        principal = await principal_of(desk, token)
    except KeysUnavailable:
        return HTMLResponse(render("bare_problem.html", problem=KEYS_AWAY), 503, headers={"Retry-After": "5"})
    if principal is None or token is None:
        return _sign_in_first(request)
    return Visit(request, principal, token, OwnApi(desk.http, token, correlation_of(request)))


KEYS_AWAY = {
    "title": "Nobody can be let in at the moment",
    "status": 503,
    "detail": "The keys that tokens are checked with cannot be fetched. Try again in a few seconds.",
}


def _sign_in_first(request: Request) -> Response:
    path = request.url.path
    wanted = path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("hx-request"):
        # A piece of a page that is open in a tab: the whole page has to go to the door.
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    if path == "/" and not request.url.query:
        return HTMLResponse(render("sign_in.html", next="/"))
    where = wanted if request.method == "GET" else "/"
    return RedirectResponse(f"/sign-in?{urlencode({'next': where})}", 303)


async def _answer(handler: Handler, visit: Visit) -> Response:
    try:
        return await handler(visit)
    except Refused as refused:
        is_piece = bool(visit.request.headers.get("hx-request"))
        if is_piece:
            # What is on the page stays; the page's script says that it may be out of date.
            return Response(status_code=refused.status)
        return visit.page("problem.html", status=refused.status, problem=refused.problem)


def new_key() -> str:
    """An idempotency key for a form: sent twice, it acts once."""
    return str(uuid.uuid4())
