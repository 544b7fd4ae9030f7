"""Buckets that refill with time, shared by all instances that use the same Redis."""

import redis.asyncio as aioredis
from redis.exceptions import RedisError

PREFIX = "ratchet:bucket:"

# Redis' own clock: the instances' clocks differ.
_TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local burst, per_second = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'left', 'at')
local left, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
left = math.min(burst, left + math.max(0, now - at) * per_second)
local missing = 1 - left
if missing <= 0 then left = left - 1 end
redis.call('HSET', KEYS[1], 'left', left, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / per_second * 1000) + 1000)
if missing <= 0 then return 0 end
return math.ceil(missing / per_second * 1000)
"""


class SharedBuckets:
    """Takes from buckets by name. The Redis client stays the caller's."""

    def __init__(self, client: aioredis.Redis) -> None:
        self._take = client.register_script(_TAKE)

    async def wait_for(self, key: str, *, burst: float, per_second: float) -> float:
        """Take one; 0.0 if there was one, else the seconds until there is (then nothing was taken).

        Raises:
            ConnectionError: Redis cannot be asked at the moment.
        """
        try:
            milliseconds = await self._take(keys=[PREFIX + key], args=[burst, per_second])
        except (RedisError, OSError, TimeoutError) as error:
            raise ConnectionError(str(error)) from error
        return float(milliseconds) / 1000
