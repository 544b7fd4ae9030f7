"""Hints between notifiers: "these feeds have grown". They carry no content and may be lost; they only save waiting."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import orjson
import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

CHANNEL = "ratchet:feeds"
RECONNECT_AFTER = timedelta(seconds=1)
SILENCE = timedelta(seconds=5)
"""How long to listen before asking whether the connection still stands."""

MAX_FEEDS_IN_HINT = 1000

log = structlog.get_logger()

Heard = Callable[[Sequence[str]], None]
Missed = Callable[[], None]


class FeedHints:
    """Sends hints without ever waiting, and listens for those of other notifiers; comes back by itself.

    The Redis client stays the caller's.
    """

    def __init__(self, client: aioredis.Redis) -> None:
        self._client = client
        self._sender = uuid4().hex
        self._to_send: dict[str, None] = {}  # in order, each once
        self._something = asyncio.Event()
        self._was_lost = False
        self.is_listening = False
        """Whether hints of others are heard at the moment."""

    def announce(self, feeds: Sequence[str]) -> None:
        """Tell the others soon; what gathers until then goes together. During an outage hints are dropped."""
        self._to_send.update(dict.fromkeys(feeds))
        self._something.set()

    async def send_forever(self) -> None:
        """Publish what was announced, until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            feeds, self._to_send = list(self._to_send), {}
            for start in range(0, len(feeds), MAX_FEEDS_IN_HINT):
                message = {"from": self._sender, "feeds": feeds[start : start + MAX_FEEDS_IN_HINT]}
                try:
                    await self._client.publish(CHANNEL, orjson.dumps(message))
                except (RedisError, OSError, TimeoutError) as error:
                    self._note_loss(error)
                    break

    async def listen_forever(self, heard: Heard, missed: Missed) -> None:
        """Pass on what other notifiers announce, until cancelled.

        `missed` is called whenever hints may have been lost: after every new subscription.
        """
        while True:
            try:
                await self._listen(heard, missed)
            except (RedisError, OSError, TimeoutError) as error:
                self._note_loss(error)
            finally:
                self.is_listening = False
            await asyncio.sleep(RECONNECT_AFTER.total_seconds())

    async def _listen(self, heard: Heard, missed: Missed) -> None:
        async with self._client.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            asked = False
            while True:
                message = await channel.get_message(timeout=SILENCE.total_seconds())
                if message is None:
                    if asked:
                        raise TimeoutError("Redis does not answer")
                    await channel.ping()
                    asked = True
                    continue
                asked = False
                if message["type"] == "subscribe":
                    self._note_return()
                    missed()
                elif message["type"] == "message":
                    self._pass_on(message["data"], heard)

    def _pass_on(self, data: bytes, heard: Heard) -> None:
        try:
            message = orjson.loads(data)
            sender, feeds = message["from"], [str(feed) for feed in message["feeds"]]
        except (ValueError, TypeError, KeyError):
            return  # somebody else's message on our channel
        if sender != self._sender:
            heard(feeds)

    def _note_loss(self, error: Exception) -> None:
        if not self._was_lost:
            log.warning("redis.lost", error=f"{type(error).__name__}: {error}", effect="pushes may take seconds longer")
        self._was_lost = True

    def _note_return(self) -> None:
        self.is_listening = True
        if self._was_lost:
            log.info("redis.back")
        self._was_lost = False
