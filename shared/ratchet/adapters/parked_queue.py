"""Keeping the queue `ratchet.parked` and the table of parked messages the same.

The table is what people look at. The queue holds a copy of each message that is still open, and beside the copies what
the broker gave up by itself. Nothing can be taken out of the middle of a queue, nor be put back without counting
towards the broker's limit, so a look goes through the whole queue once: each message is taken from the head, and what
stays is sent to the tail, confirmed, before its old place is acknowledged.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import structlog
from aio_pika.abc import AbstractQueue, AbstractRobustConnection

from ratchet.adapters.parking import COPY_HEADERS, PARKED_ID_HEADER, parked_id, queue_copy
from ratchet.adapters.postgres.parked_rows import Known, NewRow, ParkedRows
from ratchet.adapters.rabbitmq.consumer import incoming
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.domain.failure import sanitise
from ratchet.domain.trouble import is_outage
from ratchet.messages.deaths import latest_death
from ratchet.messages.envelope import (
    ORIGIN_EXCHANGE_HEADER,
    ORIGIN_KEY_HEADER,
    REASON_HEADER,
    Incoming,
    Outgoing,
)
from ratchet.messages.routes import PARKED, Route
from ratchet.recovery_ports import Tidied

if TYPE_CHECKING:
    from aio_pika import IncomingMessage

log = structlog.get_logger()

BATCH = 100
BATCH_BYTES = 8 * 1024 * 1024
WAIT = timedelta(seconds=1)
BROKER = "broker"
LONGEST_NAME = 255
BY_HAND = "Something other than Ratchet put it here"


@dataclass(frozen=True, slots=True)
class _Found:
    """A message of the queue: the row it says it is a copy of, and the row it becomes if it is none."""

    message: Incoming
    claimed: UUID | None
    row: NewRow

    def is_copy(self, known: dict[UUID, Known]) -> bool:
        """Whether the row that it names has just this content; only then may one of two copies go."""
        row = None if self.claimed is None else known.get(self.claimed)
        return row is not None and row.digest == hashlib.sha256(self.message.body).digest()

    def as_copy(self, known: dict[UUID, Known]) -> tuple[UUID, Outgoing]:
        """The row it belongs to, and what is to lie in the queue for it."""
        if self.claimed is None or not self.is_copy(known):
            return self.row.id, queue_copy(self.row)
        return self.claimed, _same(self.message)


class ParkedQueue:
    """Fulfils `recovery_ports.ParkedMirror`."""

    def __init__(self, rows: ParkedRows, connection: AbstractRobustConnection, publisher: Publisher) -> None:
        """`connection` is one that nothing is published on."""
        self._rows = rows
        self._connection = connection
        self._publisher = publisher

    async def tidy(self, *, whole: bool) -> Tidied | None:
        """Go through the queue if it differs from the table, or in any case if `whole`; None when it was left alone.

        Safe to repeat, and to be cut off anywhere: a row is written before anything is taken out.
        """
        counted = await self._rows.counted()
        async with self._opened() as queue:
            depth = queue.declaration_result.message_count or 0
            if not whole and not counted.settled and depth == counted.copies:
                return None
            async with self._rows.alone() as is_ours:
                if not is_ours:
                    return None
                tidied, copies = Tidied(), set[UUID]()
                async for batch in _taken(queue, depth):
                    tidied += await self._patiently(batch, copies)
                    # All at once: of many acknowledgements the broker may lose the last ones when the channel closes.
                    await batch[-1].acknowledge()
                await self._rows.mirror(list(copies), seen_at=counted.at)
        return tidied

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AbstractQueue]:
        async with self._connection.channel() as channel:
            yield await channel.declare_queue(PARKED, passive=True)

    async def _patiently(self, batch: Sequence[Incoming], copies: set[UUID]) -> Tidied:
        # What is given back during an outage counts towards the broker's limit, at which it would be dropped.
        while True:
            try:
                return await self._sort(batch, copies)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("parked.waiting_for_server", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(WAIT.total_seconds())

    async def _sort(self, batch: Sequence[Incoming], copies: set[UUID]) -> Tidied:
        """Write down what is new, and send what stays to the tail; safe to repeat."""
        found = [_read(message) for message in batch]
        known = await self._rows.known([one.claimed for one in found if one.claimed is not None])
        strangers = [one.row for one in found if not one.is_copy(known)]
        adopted = await self._rows.keep(strangers)
        known_after = known | await self._rows.known([row.id for row in strangers])
        staying = dict[UUID, Outgoing]()
        for one in found:
            row_id, copy = one.as_copy(known)
            if not known_after[row_id].is_settled and row_id not in copies:
                staying[row_id] = copy
        await self._publisher.publish(list(staying.values()))
        copies.update(staying)
        return Tidied(adopted=adopted, removed=len(batch) - len(staying))


async def _taken(queue: AbstractQueue, number: int) -> AsyncIterator[list[Incoming]]:
    """Up to `number` messages from the head, some at a time; what comes meanwhile is left for the next look.

    To acknowledge one is to acknowledge all that were taken before it.
    """
    while number > 0:
        batch, size = list[Incoming](), 0
        while len(batch) < min(BATCH, number) and size < BATCH_BYTES:
            raw = cast("IncomingMessage | None", await queue.get(fail=False))
            if raw is None:
                break
            batch.append(incoming(raw, partial(raw.ack, multiple=True)))
            size += len(raw.body)
        if not batch:
            return
        yield batch
        number -= len(batch)


def _read(message: Incoming) -> _Found:
    death, headers = latest_death(message.headers), message.headers
    if death is not None:
        origin = replace(message, exchange=death.exchange, routing_key=death.routing_key)
        row_id = parked_id(origin, message.body, (death.queue, death.at))
        reason = sanitise(death.reason)
        return _Found(message, None, NewRow(row_id, origin, message.body, reason, BROKER, died_once=True))
    claimed = _uuid(headers.get(PARKED_ID_HEADER))
    origin = replace(
        message,
        exchange=_name(headers.get(ORIGIN_EXCHANGE_HEADER), message.exchange),
        routing_key=_name(headers.get(ORIGIN_KEY_HEADER), message.routing_key),
    )
    reason = sanitise(str(headers.get(REASON_HEADER, BY_HAND)))
    return _Found(message, claimed, NewRow(parked_id(origin, message.body), origin, message.body, reason, BROKER))


def _same(message: Incoming) -> Outgoing:
    return Outgoing(
        route=Route("", PARKED),
        message_id=message.message_id or "",
        type=message.type or "",
        body=message.body,
        correlation_id=message.correlation_id or "",
        # A copied x-delivery-count or x-death would be counted on, and others may fit into no frame with ours.
        headers={name: value for name in COPY_HEADERS if isinstance(value := message.headers.get(name), str)},
    )


def _name(said: Any, otherwise: str) -> str:
    """A name that a message can be sent to."""
    return said if isinstance(said, str) and len(said.encode()) <= LONGEST_NAME else otherwise


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
