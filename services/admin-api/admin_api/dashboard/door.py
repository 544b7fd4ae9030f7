"""Signing in and out."""

from urllib.parse import urlencode

from ratchet.tokens import InvalidToken, KeysUnavailable
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from admin_api.dashboard import session
from admin_api.dashboard.render import render
from admin_api.dashboard.visit import Visit, desk_of


async def sign_in_page(request: Request) -> Response:
    """Where a token is pasted. A link that ends in `#token=…` fills it in: what follows # never leaves the browser."""
    return HTMLResponse(render("sign_in.html", next=session.local_path(request.query_params.get("next"))))


async def sign_in(request: Request) -> Response:
    """Check the token and keep it in the cookie."""
    form = await session.form_of(request)
    where = session.local_path(form.get("next"))
    if not session.is_from_here(request.headers):
        return _refused("Sign in from this page, not from another site.", where, status=403)
    token = form.get("token", "").strip().removeprefix("Bearer ").strip()
    if len(token) > session.MAX_TOKEN:
        return _refused("This token is too long for a browser's cookie. Ask for one with fewer claims.", where)
    try:
        principal = await desk_of(request).verifier.verify(token)
    except InvalidToken as error:
        return _refused(f"{error}.", where)
    except KeysUnavailable:
        return _refused("Tokens cannot be checked at the moment. Try again in a few seconds.", where, status=503)
    response = RedirectResponse(where, 303)
    session.keep(response, token, principal, encrypted=request.url.scheme == "https")
    return response


async def sign_out(_visit: Visit) -> Response:
    """Forget the token."""
    response = RedirectResponse(f"/sign-in?{urlencode({'next': '/'})}", 303)
    session.forget(response)
    return response


def _refused(message: str, where: str, *, status: int = 401) -> Response:
    return HTMLResponse(render("sign_in.html", next=where, message=message), status)
