"""Confirmed publishing: persistent, mandatory, pipelined, bounded in time, on its own connection."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from aiormq import spec
from aiormq.exceptions import AMQPError

from ratchet.messages.envelope import Outgoing, Unconfirmed

CONFIRM_TIMEOUT = timedelta(seconds=5)
HEARTBEAT_SECONDS = 10
RECONNECT_SECONDS = 1

PERSISTENT = 2


async def connect(amqp_url: str, *, name: str) -> AbstractRobustConnection:
    """Open a connection that comes back by itself; `name` is what the broker's own tools show."""
    return await aio_pika.connect_robust(
        amqp_url,
        timeout=10,
        reconnect_interval=RECONNECT_SECONDS,
        client_properties={"connection_name": name},
        heartbeat=HEARTBEAT_SECONDS,
    )


class Publisher:
    """Publishes through one channel of a connection that nothing is consumed on.

    A connection that publishes can be blocked by the broker's memory alarm; acknowledgements must not wait behind that.
    """

    def __init__(self, connection: AbstractRobustConnection, channel: AbstractRobustChannel) -> None:
        self._connection = connection
        self._channel = channel

    @classmethod
    async def open(cls, amqp_url: str, *, name: str) -> "Publisher":
        """Connect and open the channel."""
        connection = await connect(amqp_url, name=name)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        return cls(connection, channel)

    async def close(self) -> None:
        """Close the connection; what was confirmed is safe."""
        await self._connection.close()

    @property
    def is_connected(self) -> bool:
        """Whether the broker is reachable as far as is known."""
        return self._connection.connected.is_set()

    @property
    def connection(self) -> AbstractRobustConnection:
        """For declaring the topology at start."""
        return self._connection

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once every message is confirmed.

        Raises:
            Unconfirmed: after at most `CONFIRM_TIMEOUT`; publish the same messages again.
        """
        if not messages:
            return
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT.total_seconds()):
                results = await self._publish_all(messages)
        except TimeoutError as error:
            raise Unconfirmed([error], frozenset()) from error
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            taken = frozenset(
                message.message_id
                for message, result in zip(messages, results, strict=True)
                if not isinstance(result, BaseException)
            )
            raise Unconfirmed(failures, taken)

    async def _publish_all(self, messages: Sequence[Outgoing]) -> Sequence[BaseException | None]:
        if len(messages) == 1:
            # The common case, without a task of its own.
            try:
                await self._publish_one(messages[0])
            except Exception as error:  # as gather does below: a closed channel, for one, raises a RuntimeError
                return [error]
            return [None]
        return await asyncio.gather(*map(self._publish_one, messages), return_exceptions=True)

    async def _publish_one(self, message: Outgoing) -> None:
        try:
            channel = await self._channel.get_underlay_channel()
            await channel.basic_publish(
                message.body,
                exchange=message.route.exchange,
                routing_key=message.route.routing_key,
                properties=properties_of(message),
                mandatory=True,
                # Waiting for the socket as well as for the confirm would let one message pass at a time.
                wait=False,  # type: ignore[call-arg]  # the channel has it, its abstract class lacks it
            )
        except asyncio.CancelledError as error:
            # aiormq cancels what waits for a confirm when its connection dies; nobody asked this task to stop.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise AMQPError("the connection was lost before the confirm") from error


def properties_of(message: Outgoing) -> spec.Basic.Properties:
    """The AMQP properties of a message."""
    headers: dict[str, Any] = dict(message.headers)
    return spec.Basic.Properties(
        content_type="application/json",
        delivery_mode=PERSISTENT,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        message_type=message.type,
        timestamp=datetime.now(UTC),
        expiration=None if message.delay is None else str(max(1, round(message.delay.total_seconds() * 1000))),
        headers=headers,
        app_id="ratchet",
    )
