"""Rows of parked messages: written when one is set aside, and held against the copies in the queue."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from ratchet.adapters.postgres.locks import Lock, release_in_session, try_in_session
from ratchet.messages.envelope import Incoming

_INSERT = """
INSERT INTO parked_messages
    (id, message_id, type, exchange, routing_key, headers, correlation_id, body, reason, parked_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

# One that was sent again and is parked again is open again.
_KEEP = f"""
{_INSERT}
ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, parked_by = excluded.parked_by, queued = true,
    parked_at = clock_timestamp(), outcome = NULL, outcome_at = NULL,
    resolution = NULL, resolved_at = NULL, resolved_by = NULL, resolution_reason = NULL
WHERE parked_messages.resolution IS NOT NULL
RETURNING true
"""

# A death happens once, so seeing it a second time says nothing new.
_KEEP_DEATH = f"{_INSERT} ON CONFLICT (id) DO NOTHING RETURNING true"

_COUNTED = """
SELECT count(*) AS copies, count(*) FILTER (WHERE resolution IS NOT NULL) AS settled, clock_timestamp() AS at
FROM parked_messages WHERE queued
"""

_KNOWN = """
SELECT id, sha256(body) AS digest, resolution IS NOT NULL AS is_settled FROM parked_messages WHERE id = ANY ($1::uuid[])
"""

# A row that is younger than the look at the queue may have its copy on the way.
_NOT_THERE = "UPDATE parked_messages SET queued = false WHERE queued AND id <> ALL ($1::uuid[]) AND parked_at < $2"
_THERE = "UPDATE parked_messages SET queued = true WHERE NOT queued AND id = ANY ($1::uuid[])"


@dataclass(frozen=True, slots=True)
class NewRow:
    """A message to set aside. Of a `died_once` it is certain that the same id means the same event."""

    id: UUID
    message: Incoming
    body: bytes
    reason: str
    parked_by: str
    died_once: bool = False

    @property
    def values(self) -> tuple[object, ...]:
        """In the order of the statement."""
        message = self.message
        return (
            self.id,
            _stored(message.message_id),
            _stored(message.type),
            _stored(message.exchange),
            _stored(message.routing_key),
            orjson.dumps(_plain(message.headers)).decode(),
            _stored(message.correlation_id),
            self.body,
            self.reason,
            self.parked_by,
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows have a copy in the queue, how many of these are settled, and when that was so."""

    copies: int
    settled: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """A row as a copy is held against it."""

    digest: bytes
    is_settled: bool


class ParkedRows:
    """The table's side of the queue."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """True for one holder at a time. It saves double work only."""
        async with self._pool.acquire() as connection:
            is_ours = await try_in_session(connection, Lock.PARKED_QUEUE)
            try:
                yield is_ours
            finally:
                if is_ours:
                    await release_in_session(connection, Lock.PARKED_QUEUE)

    async def counted(self) -> Counted:
        """What the queue should hold."""
        row = await self._pool.fetchrow(_COUNTED)
        assert row is not None  # it only counts
        return Counted(**row)

    async def keep(self, rows: Iterable[NewRow]) -> int:
        """Set messages aside, in one transaction; how many were not already. Safe to repeat."""
        written = 0
        async with self._pool.acquire() as connection, connection.transaction():
            for row in rows:
                statement = _KEEP_DEATH if row.died_once else _KEEP
                written += await connection.fetchval(statement, *row.values) is not None
        return written

    async def known(self, ids: Sequence[UUID]) -> dict[UUID, Known]:
        """Those of these rows that there are."""
        found = await self._pool.fetch(_KNOWN, ids) if ids else []
        return {row["id"]: Known(row["digest"], row["is_settled"]) for row in found}

    async def mirror(self, copies: Sequence[UUID], *, seen_at: datetime) -> None:
        """These copies were in the queue at that time, and no others."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_NOT_THERE, copies, seen_at)
            await connection.execute(_THERE, copies)


def _stored(text: str | None) -> str | None:
    # Postgres has no character for NUL.
    return None if text is None else text.replace("\x00", "\ufffd")


def _plain(headers: dict[str, Any]) -> dict[str, str]:
    # Broker-made headers (x-death and its like) hold tables and instants; as text they are good enough to be read.
    return {
        name[:100].replace("\x00", ""): str(value)[:500].replace("\x00", "")
        for name, value in list(headers.items())[:50]
    }
