"""Plain HTTP beside the pushing: a ticket for the next connection, and what should not be pushed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from ratchet.messages.envelope import iso
from ratchet.messages.events import EventType
from ratchet.notifications import FeedStore
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from notifier.admit import Door, bearer_token
from notifier.reader_settings import ReaderSettings
from notifier.refuse import Reason, Refused
from notifier.tickets import KEPT_FOR

log = structlog.get_logger()

MAX_BODY = 16 * 1024
_NO_STORE = {"cache-control": "no-store"}


Announce = Callable[[Sequence[str]], None]
"""Tells all instances of a change."""


class TicketDesk:
    """`POST /ticket`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def issue(self, request: Request) -> Response:
        """A ticket for the bearer; each call makes another one."""
        try:
            self._door.check_origin(request)
            # Only the header counts: a ticket is for keeping tokens out of addresses.
            token = bearer_token(request)
            await self._door.verify(token)
            ticket = await self._door.tickets.issue(token)
        except Refused as refusal:
            return refusal.response(request)
        except ConnectionError:
            return Refused(503, Reason.REDIS, "No tickets can be had at the moment: connect with the token").response(
                request
            )
        expires_at = iso((datetime.now(UTC) + KEPT_FOR).replace(microsecond=0))
        return JSONResponse({"ticket": ticket, "expiresAt": expires_at}, headers=_NO_STORE)


class Preferences:
    """`GET` and `PUT /preferences`: `{"muted": ["WORKFLOW_STEP_RETRYING"]}`; `?all=true` for the staff feed's own."""

    def __init__(self, door: Door, store: FeedStore, settings: ReaderSettings, announce: Announce) -> None:
        self._door = door
        self._store = store
        self._settings = settings
        self._announce = announce

    async def handle(self, request: Request) -> Response:
        """Answers what holds now; a PUT replaces it, at once for open connections too."""
        try:
            self._door.check_origin(request)
            reader = self._door.reader(await self._door.verify(bearer_token(request)), request)
            if request.method == "PUT":
                await self._store.mute(reader, await _wanted(request))
                self._announce([self._settings.hint_for(reader)])
            muted = (await self._store.state(reader)).muted
        except Refused as refusal:
            return refusal.response(request)
        except Exception as error:  # outages come in many types; the client can only come back later
            log.warning("preferences.not_stored", error=f"{type(error).__name__}: {error}")
            return Refused(
                503, Reason.DATABASE, "Preferences cannot be read or changed now: try again shortly"
            ).response(request)
        known = [kind.value for kind in EventType]
        return JSONResponse({"muted": sorted(muted), "events": known}, headers=_NO_STORE)


async def _wanted(request: Request) -> set[str]:
    content = await _json(request)
    muted = content.get("muted") if isinstance(content, dict) else None
    if not isinstance(muted, list) or not all(isinstance(kind, str) for kind in muted):
        raise Refused(422, Reason.BODY, 'Send {"muted": [names of events]}')
    unknown = set(muted) - set(EventType)
    if unknown:
        raise Refused(422, Reason.BODY, f"Events are named {', '.join(EventType)}")
    return set(muted)


async def _json(request: Request) -> Any:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise Refused(413, Reason.BODY, f"The body may have at most {MAX_BODY} bytes")
        return orjson.loads(body)
    except (ValueError, ClientDisconnect) as error:
        raise Refused(400, Reason.BODY, "The body is not JSON") from error
