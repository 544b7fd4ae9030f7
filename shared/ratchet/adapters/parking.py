"""Parking: a message that nobody can act on is kept with the reason, in a queue and in a table to look it up."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
import structlog
from prometheus_client import Counter

from ratchet.adapters.postgres.parked_rows import NewRow, ParkedRows
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.domain.failure import sanitise
from ratchet.messages import envelope
from ratchet.messages.envelope import Incoming, Outgoing
from ratchet.messages.routes import PARKED, Route

log = structlog.get_logger()

PARKED_ID_HEADER = "x-ratchet-parked-id"
PARKED_AT_HEADER = "x-ratchet-parked-at"
COPY_HEADERS = (
    envelope.REASON_HEADER,
    envelope.ORIGIN_EXCHANGE_HEADER,
    envelope.ORIGIN_KEY_HEADER,
    PARKED_ID_HEADER,
    PARKED_AT_HEADER,
)


class Parking:
    """Fulfils `ports.ParkingLot`."""

    def __init__(self, pool: asyncpg.Pool, publisher: Publisher, *, service: str, parked: Counter) -> None:
        self._rows = ParkedRows(pool)
        self._publisher = publisher
        self._service = service
        self._parked = parked

    async def park(self, message: Incoming, reason: str, *, part: bytes | None = None) -> None:
        """Keep the message, or the text of one part of its body. Safe to repeat: it is kept once in the table.

        Raises what the servers raise; the message must not be acknowledged then.
        """
        body = message.body if part is None else part
        row = NewRow(parked_id(message, body), message, body, sanitise(reason), self._service)
        await self._rows.keep([row])
        await self._publisher.publish([queue_copy(row)])
        self._parked.inc()
        log.warning(
            "message.parked",
            reason=row.reason,
            message_id=message.message_id,
            routing_key=message.routing_key,
            correlation_id=message.correlation_id,
        )


def parked_id(message: Incoming, body: bytes, occasion: Sequence[str] = ()) -> UUID:
    """The same for the same content sent the same way under the same id; on another `occasion` another one."""
    place = [message.exchange, message.routing_key, str(message.message_id), hashlib.sha256(body).hexdigest()]
    return uuid5(NAMESPACE_URL, "\n".join([*place, *occasion]))


def queue_copy(row: NewRow) -> Outgoing:
    """What lies in the queue `ratchet.parked` for a row of the table."""
    message = row.message
    return Outgoing(
        route=Route("", PARKED),
        message_id=message.message_id or str(row.id),
        type=message.type or "",
        body=row.body,
        correlation_id=message.correlation_id or "",
        headers={
            envelope.REASON_HEADER: row.reason,
            envelope.ORIGIN_EXCHANGE_HEADER: message.exchange,
            envelope.ORIGIN_KEY_HEADER: message.routing_key,
            PARKED_ID_HEADER: str(row.id),
            PARKED_AT_HEADER: datetime.now(UTC).isoformat(),
        },
    )
