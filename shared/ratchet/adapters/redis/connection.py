"""Connections to Redis or Valkey that give up quickly, because nothing that waits for Redis is worth waiting for."""

from datetime import timedelta

from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["Redis", "connect"]

ANSWER_TIMEOUT = timedelta(seconds=1)


def connect(redis_url: str, *, name: str) -> Redis:
    """A client that connects at first use and raises `RedisError` within about a second; `name` is for operators."""
    return Redis.from_url(
        redis_url,
        client_name=name,
        socket_connect_timeout=ANSWER_TIMEOUT.total_seconds(),
        socket_timeout=ANSWER_TIMEOUT.total_seconds(),
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
