"""The outbox: messages written in the transaction that causes them, deleted once the broker has confirmed them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import asyncpg
import orjson

from ratchet.adapters.postgres.engine import Connection
from ratchet.messages.envelope import Outgoing, Unconfirmed
from ratchet.messages.routes import Route
from ratchet.ports import MessagePublisher

ONE_BY_ONE_SECONDS = 4

_ADD = """
INSERT INTO outbox (message_id, exchange, routing_key, type, body, headers, correlation_id, delay_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::int[])
RETURNING id
"""

# A row that another process is publishing right now is locked and skipped. Never "id above the last one seen": ids
# become visible in commit order, not in number order.
_TAKE = """
SELECT id, message_id, exchange, routing_key, type, body, headers, correlation_id, delay_ms
FROM outbox WHERE created_at < clock_timestamp() - $1::interval
ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
"""

_DONE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


async def add(connection: Connection, messages: Sequence[Outgoing]) -> list[int]:
    """Write messages within the caller's transaction; returns their row ids."""
    if not messages:
        return []
    rows = await connection.fetch(_ADD, *columns(messages))
    return [row["id"] for row in rows]


def columns(messages: Sequence[Outgoing]) -> list[list[object]]:
    """The messages as one array for each column, in the order of the table."""
    return [
        [message.message_id for message in messages],
        [message.route.exchange for message in messages],
        [message.route.routing_key for message in messages],
        [message.type for message in messages],
        [message.body.decode() for message in messages],
        [orjson.dumps(message.headers).decode() for message in messages],
        [message.correlation_id for message in messages],
        [None if message.delay is None else round(message.delay.total_seconds() * 1000) for message in messages],
    ]


async def take(connection: Connection, *, older_than: timedelta, limit: int) -> dict[int, Outgoing]:
    """Lock messages that somebody left behind; they stay locked until the caller's transaction ends."""
    rows = await connection.fetch(_TAKE, older_than, limit)
    return {row["id"]: _message(row) for row in rows}


async def relay(pool: asyncpg.Pool, publisher: MessagePublisher, *, older_than: timedelta, limit: int) -> int:
    """Publish and remove messages that were left behind; returns how many were taken.

    They stay locked meanwhile, so several relays share the work. When only some are confirmed, only those are removed.
    """
    async with pool.acquire() as connection, connection.transaction():
        left_behind = await take(connection, older_than=older_than, limit=limit)
        try:
            await publisher.publish(list(left_behind.values()))
        except Unconfirmed as error:
            confirmed = [key for key, message in left_behind.items() if message.message_id in error.confirmed]
            if not confirmed and error.by_one:
                confirmed = await _one_by_one(publisher, left_behind)
            if not confirmed:
                raise
        else:
            confirmed = list(left_behind)
        await mark_published(connection, confirmed)
    return len(left_behind)


async def _one_by_one(publisher: MessagePublisher, messages: dict[int, Outgoing]) -> list[int]:
    """For when one message spoils the others: an exchange that is not there costs all of them their channel."""
    confirmed = list[int]()
    with suppress(TimeoutError):
        # Shorter than the server lets a transaction be idle; what is left has its turn at the next look.
        async with asyncio.timeout(ONE_BY_ONE_SECONDS):
            for key, message in messages.items():
                if await _publish_alone(publisher, message):
                    confirmed.append(key)
    return confirmed


async def _publish_alone(publisher: MessagePublisher, message: Outgoing) -> bool:
    while True:
        try:
            await publisher.publish([message])
        except Unconfirmed as error:
            if error.by_one:
                return False
            # The culprit's channel is being opened again.
            await asyncio.sleep(0.1)
        else:
            return True


async def mark_published(connection: Connection | asyncpg.Pool, ids: Sequence[int]) -> None:
    """Forget messages that were confirmed; safe to repeat."""
    if ids:
        await connection.execute(_DONE, list(ids))


def _message(row: asyncpg.Record) -> Outgoing:
    delay = row["delay_ms"]
    return Outgoing(
        route=Route(row["exchange"], row["routing_key"]),
        message_id=row["message_id"],
        type=row["type"],
        body=row["body"].encode(),
        correlation_id=row["correlation_id"],
        headers=orjson.loads(row["headers"]),
        delay=None if delay is None else timedelta(milliseconds=delay),
    )
