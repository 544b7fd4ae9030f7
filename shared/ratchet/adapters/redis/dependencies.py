"""The breakers of dependencies, shared by all executors that use the same Redis.

They are hints: when Redis is wiped every breaker is closed again, and steps fail and are retried as ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from ratchet.domain.dependency import Dependency, DependencyState

log = structlog.get_logger()

PREFIX = "ratchet:dependency:"
KEPT_FOR = timedelta(minutes=10)
"""A dependency that nobody has used for this long starts anew, closed."""

_KEPT_MS = int(KEPT_FOR.total_seconds() * 1000)

TRIES = 50

_SET_IF = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

Change = Callable[[Dependency, datetime], Dependency]


class SharedDependencies:
    """Reads and changes breakers by the dependency's name. The Redis client stays the caller's.

    Every method raises ConnectionError when Redis cannot be asked at the moment.
    """

    def __init__(self, client: aioredis.Redis) -> None:
        self._client = client
        self._set_if = client.register_script(_SET_IF)

    async def read(self, names: Sequence[str]) -> dict[str, Dependency]:
        """The breakers of these dependencies; one that was never changed is missing."""
        if not names:
            return {}
        try:
            texts = await self._client.mget([PREFIX + name for name in names])
        except (RedisError, OSError, TimeoutError) as error:
            raise ConnectionError(str(error)) from error
        known = {name: _decoded(text) for name, text in zip(names, texts, strict=True)}
        return {name: dependency for name, dependency in known.items() if dependency is not None}

    async def change(self, name: str, change: Change) -> Dependency:
        """Apply a pure function of the breaker and Redis' own time; answers the breaker after it.

        The function is called again when somebody else was faster.
        """
        try:
            return await self._change(PREFIX + name, change)
        except (RedisError, OSError, TimeoutError) as error:
            raise ConnectionError(str(error)) from error

    async def _change(self, key: str, change: Change) -> Dependency:
        for _ in range(TRIES):
            text, (seconds, microseconds) = await self._client.get(key), await self._client.time()
            now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
            before = _decoded(text) or Dependency(now)
            after = change(before, now)
            if after == before or await self._set_if(keys=[key], args=[text or b"", _encoded(after), _KEPT_MS]):
                return after
        raise ConnectionError(f"others changed {key} {TRIES} times in a row")


def _encoded(dependency: Dependency) -> bytes:
    return orjson.dumps(asdict(dependency))


def _decoded(text: bytes | str | None) -> Dependency | None:
    """What is there, as far as this version knows it; None for nothing, or for what it cannot understand.

    During a rolling release older and newer executors share it: a field that is not known here is passed over, one that
    an older version did not write has its default.
    """
    if text is None:
        return None
    try:
        found: dict[str, Any] = orjson.loads(text)
        known = {field.name: found[field.name] for field in fields(Dependency) if field.name in found}
        probe_at = known.get("probe_at")
        return Dependency(
            **known
            | {
                "changed_at": datetime.fromisoformat(known["changed_at"]),
                "state": DependencyState(known.get("state", DependencyState.CLOSED)),
                "probe_at": None if probe_at is None else datetime.fromisoformat(probe_at),
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        # A breaker is a hint. One that nobody understands must not keep steps from running.
        log.warning("dependency.not_understood", error=f"{type(error).__name__}: {error}")
        return None
