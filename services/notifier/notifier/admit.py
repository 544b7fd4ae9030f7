"""The door: who may open a connection, to which feed, and from where on."""

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from ratchet.notifications import STAFF_FEED, Reader, user_feed
from ratchet.tokens import InvalidToken, KeysUnavailable, Principal, TokenVerifier
from starlette.requests import HTTPConnection

from notifier.refuse import Reason, Refused
from notifier.subscribe import Newest
from notifier.tickets import Tickets

log = structlog.get_logger()

MAX_POSITION = 2**63 - 1
_MAX_DIGITS = 30
NEWEST = "newest"
"""What `?after=` says for: nothing of what was before."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What was asked for and granted."""

    principal: Principal
    reader: Reader
    after: int | Newest | None
    wants_hello: bool


class Door:
    """Checks origin, token and rights. Browsers cannot be trusted to keep a foreign page from opening a socket."""

    def __init__(self, verifier: TokenVerifier, tickets: Tickets, allowed_origins: Collection[str]) -> None:
        self._verifier = verifier
        self.tickets = tickets
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    async def admit(self, connection: HTTPConnection, *, last_event_id: str | None = None) -> Admission:
        """Let in or not; uses up a ticket. `last_event_id` is newer than the address, so it counts more.

        Raises:
            Refused: with the status to answer.
        """
        self.check_origin(connection)
        after = _after(last_event_id or connection.query_params.get("after"))
        try:
            principal = await self.identify(connection)
        except Refused:
            raise
        except Exception as error:  # whatever it is, it is not the client's: it may come back
            log.exception("connection.not_judged")
            raise Refused(
                503, Reason.OURS, "An error of ours: try again shortly, and name the correlationId"
            ) from error
        wants_hello = connection.query_params.get("hello") == "true"
        return Admission(principal, self.reader(principal, connection), after, wants_hello)

    def check_origin(self, connection: HTTPConnection) -> None:
        """A browser always names the origin of the page; what names none is no browser.

        Raises:
            Refused: the origin is not on the list.
        """
        origin = connection.headers.get("origin")
        if origin is not None and origin.lower() not in self._origins:
            raise Refused(403, Reason.ORIGIN, "This origin is not listed in RATCHET_ALLOWED_ORIGINS")

    def reader(self, principal: Principal, connection: HTTPConnection) -> Reader:
        """Whose feed is meant: everybody's by `?all=true`, else the caller's own.

        Raises:
            Refused: everybody's is for the staff.
        """
        return Reader(_feed(principal, connection.query_params.get("all")), principal.sub)

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Who is calling: by the bearer header, else by `access_token` or `ticket` in the query.

        Raises:
            Refused: no token, a bad one, or one that cannot be judged now.
        """
        query = connection.query_params
        token = _bearer(connection) or query.get("access_token")
        if token is None and (ticket := query.get("ticket")) is not None:
            token = await self._redeem(ticket)
        if not token:
            raise Refused(
                401, Reason.TOKEN, "Send a bearer token, or ?access_token= or ?ticket= where headers cannot be set"
            )
        return await self.verify(token)

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for.

        Raises:
            Refused: it is no good, or cannot be judged now.
        """
        try:
            return await self._verifier.verify(token)
        except InvalidToken as error:
            raise Refused(401, Reason.TOKEN, str(error)) from error
        except KeysUnavailable as error:
            raise Refused(503, Reason.KEYS, str(error)) from error

    async def _redeem(self, ticket: str) -> str:
        try:
            token = await self.tickets.redeem(ticket)
        except ConnectionError as error:
            raise Refused(
                503, Reason.REDIS, "Tickets cannot be checked at the moment: connect with the token"
            ) from error
        if token is None:
            raise Refused(
                401, Reason.TICKET, "The ticket is unknown, used or too old: get another one from POST /ticket"
            )
        return token


def bearer_token(connection: HTTPConnection) -> str:
    """The token of the Authorization header.

    Raises:
        Refused: there is none.
    """
    token = _bearer(connection)
    if token is None:
        raise Refused(401, Reason.TOKEN, "Send the token in the header Authorization: Bearer <token>")
    return token


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _feed(principal: Principal, everybody: str | None) -> str:
    match (everybody or "false").lower():
        case "false" | "0":
            return user_feed(principal.sub)
        case "true" | "1":
            if principal.is_staff:
                return STAFF_FEED
            raise Refused(403, Reason.ROLE, "Everybody's events are for support and admins only")
        case _:
            raise Refused(400, Reason.QUERY, "?all= must be true or false")


def _after(text: str | None) -> int | Newest | None:
    if text is None:
        return None
    if text == NEWEST:
        return Newest()
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise Refused(400, Reason.QUERY, "?after= must be a position, a whole number from 0, or 'newest'")
    return min(int(text), MAX_POSITION)
