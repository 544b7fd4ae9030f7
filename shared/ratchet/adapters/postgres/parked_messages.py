"""Parked messages as the admin API sees them: looked at, sent again, or given up with a reason; never deleted."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from ratchet.adapters.postgres import audit, outbox
from ratchet.adapters.postgres.audit import AuditEntry
from ratchet.adapters.postgres.engine import Connection
from ratchet.adapters.postgres.replays import settle_replays
from ratchet.domain.replay import PARKED_AGAIN
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import Route
from ratchet.recovery_ports import Settling

_COLUMNS = """
id, message_id, type, exchange, routing_key, headers::text AS headers, correlation_id, body, reason, parked_by,
parked_at, resolution, resolved_at, resolved_by, resolution_reason, outcome, outcome_at
"""

_PAGE = f"""
SELECT {_COLUMNS} FROM parked_messages
WHERE (resolution IS NOT NULL) = $1 AND ($2::timestamptz IS NULL OR (parked_at, id) > ($2, $3::uuid))
ORDER BY parked_at, id LIMIT $4
"""

_LOCK = f"SELECT {_COLUMNS} FROM parked_messages WHERE id = $1 FOR UPDATE"

_RESOLVE = """
UPDATE parked_messages
SET resolution = $2, resolved_at = clock_timestamp(), resolved_by = $3, resolution_reason = $4 WHERE id = $1
"""

_CAME_OF = "SELECT resolution, outcome, reason FROM parked_messages WHERE id = $1"
_LOOK_SECONDS = 0.25

Edge = tuple[datetime, UUID]


class Resolution(StrEnum):
    """What became of a parked message."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Refused(StrEnum):
    """Why nothing was done."""

    UNKNOWN = "unknown"
    SETTLED = "settled"
    NOT_TEXT = "not-text"
    """Its body is no text, so nobody can read it however often it is sent."""


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message that nobody could act on."""

    id: UUID
    message_id: str | None
    type: str | None
    exchange: str
    routing_key: str
    headers: dict[str, str]
    correlation_id: str | None
    body: bytes
    reason: str
    parked_by: str
    parked_at: datetime
    resolution: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolution_reason: str | None
    outcome: str | None = None
    outcome_at: datetime | None = None


class ParkedMessages:
    """Questions about parked messages, and the two ends they can come to."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, *, resolved: bool, after: Edge | None, limit: int) -> tuple[list[ParkedMessage], Edge | None]:
        """A page, the longest parked first, and where the next one begins."""
        at, parked_id = after or (None, None)
        rows = await self._pool.fetch(_PAGE, resolved, at, parked_id, limit + 1)
        page = [_message(row) for row in rows[:limit]]
        return page, (page[-1].parked_at, page[-1].id) if len(rows) > limit else None

    async def replay(self, parked_id: UUID, settling: Settling) -> Refused | None:
        """Send it again to where it came from, by the outbox, with fresh headers; None when that is done.

        One that came without a message id gets the id it was parked under. It is parked anew if nothing has changed.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            found = await self._open(connection, parked_id)
            if isinstance(found, Refused):
                return found
            text = _text(found.body)
            if text is None:
                return Refused.NOT_TEXT
            await outbox.add(connection, [_again(found, settling)])
            await self._settle(connection, found, Resolution.REPLAYED, settling)
            return None

    async def came_of(self, parked_id: UUID, *, within: timedelta) -> tuple[str | None, str | None]:
        """Whether a replay helped, as far as it shows in time; of one that is parked again also the reason."""
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        while True:
            await settle_replays(self._pool, parked_id)
            row = await self._pool.fetchrow(_CAME_OF, parked_id)
            if row is not None and row["resolution"] is None:
                return PARKED_AGAIN, row["reason"]
            if row is None or row["outcome"] is not None or asyncio.get_running_loop().time() >= deadline:
                return (None if row is None else row["outcome"]), None
            await asyncio.sleep(_LOOK_SECONDS)

    async def discard(self, parked_id: UUID, settling: Settling) -> Refused | None:
        """Nothing more is to be done about it; it stays on record. None when that is done."""
        async with self._pool.acquire() as connection, connection.transaction():
            found = await self._open(connection, parked_id)
            if isinstance(found, Refused):
                return found
            await self._settle(connection, found, Resolution.DISCARDED, settling)
            return None

    async def _open(self, connection: Connection, parked_id: UUID) -> ParkedMessage | Refused:
        row = await connection.fetchrow(_LOCK, parked_id)
        if row is None:
            return Refused.UNKNOWN
        return Refused.SETTLED if row["resolution"] is not None else _message(row)

    async def _settle(
        self, connection: Connection, found: ParkedMessage, resolution: Resolution, settling: Settling
    ) -> None:
        await connection.execute(_RESOLVE, found.id, resolution.value, settling.actor, settling.reason)
        parked: dict[str, Any] = {"parkedId": str(found.id), "messageId": found.message_id, "reason": found.reason}
        entry = AuditEntry(
            actor=settling.actor,
            action="replay-parked" if resolution is Resolution.REPLAYED else "discard-parked",
            outcome="done",
            correlation_id=settling.correlation_id,
            reason=settling.reason,
            before=parked,
            after=parked | {"resolution": resolution.value},
        )
        await audit.append(connection, entry)


def _again(found: ParkedMessage, settling: Settling) -> Outgoing:
    # An event is made up of its headers; what the broker wrote must not come back to it.
    headers = {name: value for name, value in found.headers.items() if name.startswith("ce-") or name == "traceparent"}
    return Outgoing(
        route=Route(found.exchange, found.routing_key),
        message_id=found.message_id or str(found.id),
        type=found.type or "",
        body=found.body,
        correlation_id=found.correlation_id or settling.correlation_id,
        headers=headers,
    )


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text


def _message(row: asyncpg.Record) -> ParkedMessage:
    fields = dict(row)
    fields["headers"] = orjson.loads(row["headers"])
    return ParkedMessage(**fields)
