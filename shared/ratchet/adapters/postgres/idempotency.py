"""Idempotency keys: one operation per principal and key, and its answer for whoever asks again."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

# A key whose holder gave no answer in time (its process died) may be taken up by the next one that asks the same.
_CLAIM = """
INSERT INTO idempotency_keys (principal, key, route, body_hash, claimed_until)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval)
ON CONFLICT (principal, key) DO UPDATE SET claimed_until = excluded.claimed_until
    WHERE idempotency_keys.status IS NULL
      AND idempotency_keys.claimed_until < clock_timestamp()
      AND idempotency_keys.route = excluded.route
      AND idempotency_keys.body_hash = excluded.body_hash
RETURNING operation_id
"""

_LOOK = "SELECT route, body_hash, status, answer FROM idempotency_keys WHERE principal = $1 AND key = $2"

_FINISH = """
UPDATE idempotency_keys SET status = $3, answer = $4
WHERE operation_id = $5 AND principal = $1 AND key = $2 AND status IS NULL
"""

_LET_GO = """
UPDATE idempotency_keys SET claimed_until = clock_timestamp()
WHERE operation_id = $3 AND principal = $1 AND key = $2 AND status IS NULL
"""

_FORGET = """
DELETE FROM idempotency_keys
WHERE operation_id = $3 AND principal = $1 AND key = $2 AND status IS NULL
"""

_PRUNE = """
DELETE FROM idempotency_keys WHERE (principal, key) IN (
    SELECT principal, key FROM idempotency_keys
    WHERE created_at < clock_timestamp() - $1::interval ORDER BY created_at LIMIT $2
)
"""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request under a key. `body_hash` and `route` tell a repetition from another use of the same key."""

    principal: str
    key: str
    route: str
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """At most one thing is set; nothing at all means that somebody else is at it right now.

    `operation_id`: go ahead, it is the same id for every try under this key. `status` and `answer`: it was done before.
    `reused`: the key belongs to another request.
    """

    operation_id: UUID | None = None
    status: int | None = None
    answer: dict[str, Any] | None = None
    reused: bool = False


class IdempotencyKeys:
    """The keys of every principal."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @staticmethod
    def request(*, principal: str, key: str, route: str, body_hash: bytes) -> KeyedRequest:
        """A request in the form that the other methods take."""
        return KeyedRequest(principal, key, route, body_hash)

    async def claim(self, request: KeyedRequest, *, hold: timedelta) -> KeyClaim:
        """Ask to be the one who does it; the claim lapses after `hold`."""
        operation_id = await self._pool.fetchval(
            _CLAIM, request.principal, request.key, request.route, request.body_hash, hold
        )
        if operation_id is not None:
            return KeyClaim(operation_id=operation_id)
        row = await self._pool.fetchrow(_LOOK, request.principal, request.key)
        if row is None:  # given up or pruned between the two statements
            return KeyClaim()
        if row["route"] != request.route or row["body_hash"] != request.body_hash:
            return KeyClaim(reused=True)
        if row["status"] is None:
            return KeyClaim()
        return KeyClaim(status=row["status"], answer=json.loads(row["answer"]))

    async def finish(self, request: KeyedRequest, operation_id: UUID, status: int, answer: dict[str, Any]) -> None:
        """Keep the answer; the first one stays."""
        await self._pool.execute(_FINISH, request.principal, request.key, status, json.dumps(answer), operation_id)

    async def let_go(self, request: KeyedRequest, operation_id: UUID) -> None:
        """The effect is unknown: the next try goes on under the same operation id, at once."""
        await self._pool.execute(_LET_GO, request.principal, request.key, operation_id)

    async def forget(self, request: KeyedRequest, operation_id: UUID) -> None:
        """Nothing was done: the key is free again."""
        await self._pool.execute(_FORGET, request.principal, request.key, operation_id)

    async def prune(self, older_than: timedelta, limit: int = 1000) -> int:
        """Delete keys older than that; returns how many, at most `limit`."""
        return int((await self._pool.execute(_PRUNE, older_than, limit)).split()[-1])
