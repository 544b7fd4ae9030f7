"""Confirmed publishing: persistent, mandatory, pipelined, bounded in time, on its own connection."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelNotFoundEntity

from ratchet.adapters.rabbitmq import tolerant_headers as tolerant_headers  # noqa: PLC0414  # for what importing it does
from ratchet.adapters.rabbitmq.frames import frames_of
from ratchet.messages.envelope import Outgoing, Unconfirmed
from ratchet.reaching import Server, reaching

CONFIRM_TIMEOUT = timedelta(seconds=5)
HEARTBEAT_SECONDS = 10
RECONNECT_SECONDS = 1


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

    @classmethod
    async def of_service(cls, amqp_url: str, *, name: str) -> "Publisher":
        """The same for a service that starts.

        Raises:
            CannotStart: the broker cannot be reached, with what to do.
        """
        with reaching(Server.RABBITMQ, amqp_url):
            return await cls.open(amqp_url, name=name)

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
        """Return once every message is confirmed. They are sent in one go, and confirmed in whatever order.

        Raises:
            Unconfirmed: after at most `CONFIRM_TIMEOUT`; publish the same messages again.
        """
        if not messages:
            return
        confirms: list[_Confirm] = []
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT.total_seconds()):
                confirms = await self._send(messages)
                await asyncio.wait(confirms)
        except (TimeoutError, AMQPError, RuntimeError) as error:  # a closed channel, for one, raises a RuntimeError
            if not confirms:
                raise Unconfirmed([error], frozenset()) from error
        failures, taken = [], set[str]()
        for message, confirm in zip(messages, confirms, strict=True):
            failure = _failure_of(confirm)
            if failure is None:
                taken.add(message.message_id)
            else:
                failures.append(failure)
        if failures:
            raise Unconfirmed(failures, frozenset(taken), by_one=any(isinstance(item, _BLAMED) for item in failures))

    async def _send(self, messages: Sequence[Outgoing]) -> "list[_Confirm]":
        """One write for all. The channel's own way to publish makes one, and waits for a lock, for each message."""
        channel = await self._channel.get_underlay_channel()
        if not isinstance(channel, Channel):
            raise TypeError(f"aio-pika runs on {type(channel).__name__}, which is not the channel known here")
        now = round(time.time())
        packed = [_pack(message, channel, now) for message in messages]
        payload = b"".join([frames for frames in packed if isinstance(frames, bytes)])
        async with channel.lock:
            confirms = [_enlist(channel, *pair) for pair in zip(messages, packed, strict=True)]
            try:
                await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
            except BaseException:
                # The broker has seen none of them: their numbers are the next ones' again.
                _strike(channel, sum(isinstance(frames, bytes) for frames in packed))
                raise
        return confirms


_Confirm = asyncio.Future[Any]

_BLAMED = (ValueError, ChannelNotFoundEntity, ChannelAccessRefused)
"""A message that cannot be written, or that costs its channel: there is no such exchange, or not for this user."""


def _pack(message: Outgoing, channel: Channel, now: int) -> bytes | ValueError:
    """One bad message must not hold back the others."""
    try:
        limit = channel.max_content_size
        return frames_of(message, channel.number, body_limit=limit, header_limit=limit, at=now)
    except (ValueError, TypeError) as error:
        return ValueError(str(error))


def _enlist(channel: Channel, message: Outgoing, frames: bytes | ValueError) -> _Confirm:
    """Number a message as the broker will, and wait for that number."""
    confirm: _Confirm = channel.create_future()
    if isinstance(frames, ValueError):
        confirm.set_exception(frames)
        return confirm
    channel.delivery_tag += 1
    tag = channel.delivery_tag
    channel.confirmations[tag] = confirm
    # A message that no queue takes comes back by its id.
    tags, message_id = channel.message_id_delivery_tag, message.message_id
    tags[message_id] = tag
    confirm.add_done_callback(lambda _done: tags.pop(message_id, None) if tags.get(message_id) == tag else None)
    return confirm


def _strike(channel: Channel, count: int) -> None:
    for _ in range(count):
        channel.confirmations.pop(channel.delivery_tag).cancel()
        channel.delivery_tag -= 1


def _failure_of(confirm: _Confirm) -> BaseException | None:
    if not confirm.done():
        confirm.cancel()
        return TimeoutError("not confirmed in time")
    if confirm.cancelled():
        # aiormq cancels what waits for a confirm when its connection dies; nobody asked this task to stop.
        return AMQPError("the connection was lost before the confirm")
    return confirm.exception()
