"""Consuming: raw bytes in, one settlement out, through FastStream on a connection that nothing is published on."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from aio_pika import IncomingMessage
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelInvalidStateError
from faststream import AckPolicy
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from ratchet.adapters.rabbitmq import tolerant_headers as tolerant_headers  # noqa: PLC0414  # for what importing it does
from ratchet.adapters.rabbitmq.keep_trying import Handler, KeepTrying, Lane
from ratchet.adapters.rabbitmq.publisher import HEARTBEAT_SECONDS, RECONNECT_SECONDS
from ratchet.adapters.rabbitmq.settlements import Settlements
from ratchet.adapters.rabbitmq.topology import Queue
from ratchet.messages.deaths import comes_marked
from ratchet.messages.envelope import Incoming, Settlement

CANCEL_SECONDS = 5


def consumer_broker(amqp_url: str, *, name: str) -> RabbitBroker:
    """A broker for consuming only. Every queue gets its own channel, so that trouble on one leaves the rest alone."""
    # The connection's name in the broker's own tools can only be given in the URL here.
    separator = "&" if "?" in amqp_url else "?"
    return RabbitBroker(
        f"{amqp_url}{separator}name={name}",
        client_properties={"heartbeat": HEARTBEAT_SECONDS},
        reconnect_interval=RECONNECT_SECONDS,
        apply_types=False,
        # Handlers never raise (see `keep_trying`), and a line for each message would cost more than the message.
        logger=None,
        graceful_timeout=None,
    )


def consume(
    broker: RabbitBroker,
    queue: Queue,
    handler: Handler,
    *,
    prefetch: int,
    trying: KeepTrying,
    outlives_connection: bool = False,
) -> None:
    """Subscribe `handler`; it is run for up to `prefetch` deliveries at once, each again and again until it ends.

    With a connection its handlers end, because their messages will be delivered again. With `outlives_connection` they
    go on; whoever asks for that has to know the messages of its own work when they come again.

    FastStream connects, declares, subscribes, comes back after outages and stops. A message does not pass through its
    middlewares, context, parser and decoder, which would take longer than all else done for it (see ADR 12).
    """
    subscriber = broker.subscriber(
        RabbitQueue(queue.name, queue_type=QueueType.QUORUM, durable=True, arguments=queue.arguments),  # type: ignore[call-overload]  # quorum arguments are a plain dict here
        channel=Channel(prefetch_count=prefetch),
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
    )
    subscriber(_never_called)
    subscriber.consume = _Intake(handler, trying.lane(queue.name), outlives_connection=outlives_connection).take  # type: ignore[method-assign]  # there is no public way


async def _never_called(_body: bytes) -> None:
    raise AssertionError("unreachable: the subscriber only subscribes")


class _Intake:
    """From a delivery to its settlement."""

    def __init__(self, handler: Handler, lane: Lane, *, outlives_connection: bool) -> None:
        self._handler = handler
        self._lane = lane
        self._outlives_connection = outlives_connection
        self._going_on: set[asyncio.Task[None]] = set()
        self._channel: AbstractChannel | None = None
        self._settlements: Settlements

    async def take(self, msg: IncomingMessage) -> None:
        """Handle one delivery."""
        try:
            channel, tag = msg.channel, msg.delivery_tag or 0
        except ChannelInvalidStateError:  # it closed meanwhile: the message will be delivered again
            return
        if channel is not self._channel:
            self._channel, self._settlements = channel, Settlements(channel)
        self._settlements.delivered(tag)
        delivery = _Delivery(self._settlements, tag)
        work = self._lane.handled(self._handler, incoming(msg, delivery.acknowledge))
        if not self._outlives_connection:
            delivery.settle(await work)
            return
        # In a task of its own, which the driver does not end with the channel.
        task = asyncio.create_task(self._finish(work, delivery))
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)

    async def _finish(self, work: Coroutine[Any, Any, Settlement], delivery: "_Delivery") -> None:
        delivery.settle(await work)


async def stop_intake(broker: RabbitBroker) -> None:
    """Cancel the consumers, so that no further message is handed over while running ones finish.

    FastStream keeps consuming while it stops; each message it then touches would count toward the delivery limit.
    """
    for subscriber in broker.subscribers:
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # type: ignore[attr-defined]  # noqa: SLF001  # no public way
        if queue is not None and tag is not None:
            # While the broker is away this would wait for it; the consumer is not restored either way.
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await queue.cancel(tag)
            subscriber._consumer_tag = None  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public way


async def resume_intake(broker: RabbitBroker) -> None:
    """Consume again after `stop_intake`.

    Raises:
        AMQPError: the broker is away. Safe to repeat.
    """
    for subscriber in broker.subscribers:
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # type: ignore[attr-defined]  # noqa: SLF001  # no public way
        if queue is not None and tag is None:
            tag = await queue.consume(subscriber.consume, arguments=subscriber.consume_args)  # type: ignore[attr-defined]  # no public way
            subscriber._consumer_tag = tag  # type: ignore[attr-defined]  # noqa: SLF001  # no public way


def is_consuming(broker: RabbitBroker) -> bool:
    """Whether the connection stands and every subscriber has its consumer."""
    connection = broker._connection  # noqa: SLF001  # `ping` reads the same flag but needs a time limit
    return (
        connection is not None
        and connection.connected.is_set()
        and all(subscriber._consumer_tag is not None for subscriber in broker.subscribers)  # type: ignore[attr-defined]  # noqa: SLF001  # no public way
    )


class _Delivery:
    """Settles one delivery, once."""

    def __init__(self, settlements: Settlements, tag: int) -> None:
        self._settlements = settlements
        self._tag = tag
        self.is_settled = False

    async def acknowledge(self) -> None:
        self.settle(Settlement.ACK)
        await self._settlements.told()

    def settle(self, settlement: Settlement) -> None:
        if not self.is_settled:
            self.is_settled = True
            self._settlements.settle(self._tag, settlement)


def incoming(raw: IncomingMessage, acknowledge: Callable[[], Awaitable[None]]) -> Incoming:
    """The parts of a delivery that Ratchet looks at."""
    return Incoming(
        body=raw.body,
        message_id=raw.message_id,
        correlation_id=raw.correlation_id,
        type=raw.type,
        exchange=raw.exchange or "",
        routing_key=raw.routing_key or "",
        redelivered=bool(raw.redelivered) and not comes_marked(raw.headers),
        headers=dict(raw.headers),
        acknowledge=acknowledge,
    )
