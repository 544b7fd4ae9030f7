"""Values that can be taken once and are forgotten soon."""

from datetime import timedelta

import redis.asyncio as aioredis
from redis.exceptions import RedisError

PREFIX = "ratchet:once:"


class TakeOnce:
    """Of any number of takers one gets the value. The Redis client stays the caller's."""

    def __init__(self, client: aioredis.Redis) -> None:
        self._client = client

    async def put(self, key: str, value: str, *, kept_for: timedelta) -> None:
        """Keep a value.

        Raises:
            ConnectionError: Redis cannot be asked at the moment.
        """
        try:
            await self._client.set(PREFIX + key, value, px=kept_for)
        except (RedisError, OSError) as error:
            raise ConnectionError(str(error)) from error

    async def take(self, key: str) -> str | None:
        """The value, if it is still there; never again for anybody.

        Raises:
            ConnectionError: Redis cannot be asked at the moment.
        """
        try:
            value = await self._client.getdel(PREFIX + key)
        except (RedisError, OSError) as error:
            raise ConnectionError(str(error)) from error
        return value.decode() if isinstance(value, bytes) else None
