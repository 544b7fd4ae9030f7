"""Who is signed in: the token lies in a cookie that no script can read and no other site can use."""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from ratchet.tokens import Principal
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "ratchet_session"

MAX_TOKEN = 3800
"""Browsers drop cookies of more than four kilobytes without a word."""

FORM_LIMIT = 64 * 1024


def token_of(request: Request) -> str | None:
    """The token of whoever is signed in, unchecked."""
    return request.cookies.get(COOKIE) or None


def keep(response: Response, token: str, principal: Principal, *, encrypted: bool) -> None:
    """Sign in, for as long as the token is valid."""
    left = (principal.expires_at - datetime.now(UTC)).total_seconds()
    response.set_cookie(
        COOKIE,
        token,
        max_age=max(0, min(int(left), 30 * 24 * 3600)),
        path="/",
        httponly=True,
        samesite="strict",
        secure=encrypted,
    )


def forget(response: Response) -> None:
    """Sign out."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def form_token(token: str) -> str:
    """What the forms of this session carry; who cannot read the cookie cannot make it."""
    return hmac.new(token.encode(), b"ratchet dashboard form", hashlib.sha256).hexdigest()


def is_own_form(form_value: str, token: str) -> bool:
    """Whether a form was made for this session."""
    return hmac.compare_digest(form_value.encode(), form_token(token).encode())


def is_from_here(headers: Headers) -> bool:
    """Whether the browser says that one of our own pages sent this. Who sends neither header is no browser of today."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form; the last of each name counts."""
    body = await request.body()
    if len(body) > FORM_LIMIT:
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100))


def local_path(wanted: str | None) -> str:
    """Where to go after signing in: a path of ours, never another site's address."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or "\\" in wanted:
        return "/"
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc and wanted.isprintable() else "/"
