"""Parking: a message that nobody can act on is kept with the reason, in a queue and in a table to look it up."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
import orjson
import structlog
from prometheus_client import Counter

from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.domain.failure import sanitise
from ratchet.messages import envelope
from ratchet.messages.envelope import Incoming, Outgoing
from ratchet.messages.routes import PARKED, Route

log = structlog.get_logger()

# One that was sent again and is parked again is open again.
_KEEP = """
INSERT INTO parked_messages
    (id, message_id, type, exchange, routing_key, headers, correlation_id, body, reason, parked_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, parked_by = excluded.parked_by,
    parked_at = clock_timestamp(), resolution = NULL, resolved_at = NULL, resolved_by = NULL, resolution_reason = NULL
WHERE parked_messages.resolution IS NOT NULL
"""


class Parking:
    """Fulfils `ports.ParkingLot`."""

    def __init__(self, pool: asyncpg.Pool, publisher: Publisher, *, service: str, parked: Counter) -> None:
        self._pool = pool
        self._publisher = publisher
        self._service = service
        self._parked = parked

    async def park(self, message: Incoming, reason: str, *, part: Any = None) -> None:
        """Keep the message, or one part of a bulk body. Safe to repeat: the same message is kept once in the table.

        Raises what the servers raise; the message must not be acknowledged then.
        """
        body = message.body if part is None else orjson.dumps(part)
        reason = sanitise(reason)
        parked_id = _id_of(message, body)
        await self._pool.execute(
            _KEEP,
            parked_id,
            message.message_id,
            message.type,
            message.exchange,
            message.routing_key,
            orjson.dumps(_plain(message.headers)).decode(),
            message.correlation_id,
            body,
            reason,
            self._service,
        )
        await self._publisher.publish([_parked(message, body, reason, parked_id)])
        self._parked.inc()
        log.warning(
            "message.parked",
            reason=reason,
            message_id=message.message_id,
            routing_key=message.routing_key,
            correlation_id=message.correlation_id,
        )


def _id_of(message: Incoming, body: bytes) -> UUID:
    place = f"{message.exchange}\n{message.routing_key}\n{message.message_id}\n{hashlib.sha256(body).hexdigest()}"
    return uuid5(NAMESPACE_URL, place)


def _parked(message: Incoming, body: bytes, reason: str, parked_id: UUID) -> Outgoing:
    return Outgoing(
        route=Route("", PARKED),
        message_id=message.message_id or str(parked_id),
        type=message.type or "",
        body=body,
        correlation_id=message.correlation_id or "",
        headers={
            envelope.REASON_HEADER: reason,
            envelope.ORIGIN_EXCHANGE_HEADER: message.exchange,
            envelope.ORIGIN_KEY_HEADER: message.routing_key,
            "x-ratchet-parked-id": str(parked_id),
            "x-ratchet-parked-at": datetime.now(UTC).isoformat(),
        },
    )


def _plain(headers: dict[str, Any]) -> dict[str, str]:
    # Broker-made headers (x-death and its like) hold tables and instants; as text they are good enough to be read.
    return {name[:100]: str(value)[:500].replace("\x00", "") for name, value in list(headers.items())[:50]}
