"""Consuming: raw bytes in, one settlement out, through FastStream on a connection that nothing is published on."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, repeat

import asyncpg
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import AMQPError
from faststream import AckPolicy
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage

from ratchet.adapters.rabbitmq.publisher import HEARTBEAT_SECONDS, RECONNECT_SECONDS
from ratchet.adapters.rabbitmq.topology import Queue
from ratchet.messages.envelope import Incoming, Settlement, Unconfirmed

log = structlog.get_logger()


Handler = Callable[[Incoming], Awaitable[Settlement]]

OUTAGES: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    AMQPError,
    Unconfirmed,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""A server is away or busy: the message is not at fault and the handler may simply be run again."""

_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0)


def consumer_broker(amqp_url: str, *, name: str) -> RabbitBroker:
    """A broker for consuming only. Every queue gets its own channel, so that trouble on one leaves the rest alone."""
    # The connection's name in the broker's own tools can only be given in the URL here.
    separator = "&" if "?" in amqp_url else "?"
    return RabbitBroker(
        f"{amqp_url}{separator}name={name}",
        client_properties={"heartbeat": HEARTBEAT_SECONDS},
        reconnect_interval=RECONNECT_SECONDS,
        apply_types=False,
        # Handlers never raise (see `_handled`), and a line for each message would cost more than the message.
        logger=None,
        graceful_timeout=None,
    )


def consume(broker: RabbitBroker, queue: Queue, handler: Handler, *, prefetch: int) -> None:
    """Subscribe `handler`; it is run for up to `prefetch` deliveries at once, and again and again during outages.

    An error that is no outage is a defect: it is logged and the message goes to the queue's dead letters.
    """

    async def on_message(_body: bytes) -> None:
        message: RabbitMessage = broker.context.get_local("message")
        delivery = _Delivery(message.raw_message)
        await delivery.settle(await _handled(handler, incoming(message.raw_message, delivery.acknowledge)))

    subscriber = broker.subscriber(
        RabbitQueue(queue.name, queue_type=QueueType.QUORUM, durable=True, arguments=queue.arguments),  # type: ignore[call-overload]  # quorum arguments are a plain dict here
        channel=Channel(prefetch_count=prefetch),
        ack_policy=AckPolicy.MANUAL,
        decoder=_raw_body,
        no_reply=True,
    )
    subscriber(on_message)


async def stop_intake(broker: RabbitBroker) -> None:
    """Cancel the consumers, so that no further message is handed over while running ones finish.

    FastStream keeps consuming while it stops; each message it then touches would count toward the delivery limit.
    """
    for subscriber in broker.subscribers:
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # type: ignore[attr-defined]  # noqa: SLF001
        if queue is not None and tag is not None:
            await queue.cancel(tag)
            subscriber._consumer_tag = None  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public way


def is_consuming(broker: RabbitBroker) -> bool:
    """Whether the connection stands and every subscriber has its consumer."""
    connection = broker._connection  # noqa: SLF001  # `ping` reads the same flag but needs a time limit
    return (
        connection is not None
        and connection.connected.is_set()
        and all(subscriber._consumer_tag is not None for subscriber in broker.subscribers)  # type: ignore[attr-defined]  # noqa: SLF001
    )


class _Delivery:
    """Settles one delivery, once."""

    def __init__(self, raw: AbstractIncomingMessage) -> None:
        self._raw = raw
        self._is_settled = False

    async def acknowledge(self) -> None:
        await self.settle(Settlement.ACK)

    async def settle(self, settlement: Settlement) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        try:
            if settlement is Settlement.ACK:
                await self._raw.ack()
            else:
                await self._raw.reject(requeue=False)
        except (AMQPError, RuntimeError) as error:
            # The channel is gone, and the broker will deliver the message again; the row will call it stale.
            log.info("message.settle_failed", error=type(error).__name__)


def incoming(raw: AbstractIncomingMessage, acknowledge: Callable[[], Awaitable[None]]) -> Incoming:
    """The parts of a delivery that Ratchet looks at."""
    return Incoming(
        body=raw.body,
        message_id=raw.message_id,
        correlation_id=raw.correlation_id,
        type=raw.type,
        exchange=raw.exchange or "",
        routing_key=raw.routing_key or "",
        redelivered=bool(raw.redelivered),
        headers=dict(raw.headers),
        acknowledge=acknowledge,
    )


async def _handled(handler: Handler, message: Incoming) -> Settlement:
    for wait in chain(_WAITS, repeat(_WAITS[-1])):
        try:
            return await handler(message)
        except OUTAGES as error:
            log.warning("message.waiting_for_server", error=f"{type(error).__name__}: {error}", retry_in=wait)
        except Exception:  # a defect must neither stop the consumer nor lose the message
            log.exception("message.handler_failed", message_id=message.message_id)
            return Settlement.REJECT
        await asyncio.sleep(wait)
    raise AssertionError("unreachable: the waits never end")


async def _raw_body(message: RabbitMessage) -> bytes:
    return message.body
