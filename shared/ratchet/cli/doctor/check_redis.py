"""Redis or Valkey: reachable and new enough. It may be wiped at any moment, so nothing else matters."""

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ratchet.cli.doctor.findings import Finding, Level, version_finding
from ratchet.reaching import Server, reason_of

AREA = "Redis"
LOWEST = 7
SECONDS = 5


async def check_redis(redis_url: str) -> list[Finding]:
    """Connect and judge."""
    try:
        client = Redis.from_url(redis_url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS)
        async with client:
            info: dict[str, Any] = await client.info("server")
    except (OSError, TimeoutError, ValueError, RedisError) as error:
        found, advice = reason_of(Server.REDIS, error)
        return [Finding(AREA, "connection", Level.RED, found, advice)]
    return [Finding(AREA, "connection", Level.OK, "answers"), judge(info)]


def judge(info: dict[str, Any]) -> Finding:
    """Valkey says it is a Redis 7.2 and gives its own version beside it; all of its versions will do."""
    if "valkey_version" in info:
        return Finding(AREA, "version", Level.OK, f"Valkey {info['valkey_version']}")
    advice = f"Use Redis {LOWEST} or newer, or Valkey"
    return version_finding(AREA, str(info["redis_version"]), lowest=LOWEST, highest=None, advice=advice)
