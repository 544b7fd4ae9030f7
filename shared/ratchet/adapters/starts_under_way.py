"""Where a start may still be: in line, sent again after a pause, in an array that is being unpacked, or promised."""

import time
from uuid import UUID

import asyncpg
from aio_pika.abc import AbstractRobustConnection

from ratchet.adapters.postgres.presence import LIVE_FOR
from ratchet.adapters.rabbitmq.depths import ready_in
from ratchet.domain.definition import DEFAULT_POOL
from ratchet.messages.rounds import AGAIN_AFTER, StartsUnderWay
from ratchet.messages.routes import again_name, steps_queue

FRESH_SECONDS = 0.5

_IN_HAND = """
SELECT EXISTS (SELECT FROM executors WHERE is_unpacking AND seen_at > clock_timestamp() - $2::interval) AS unpacking,
    EXISTS (SELECT FROM accepted_starts WHERE workflow_id = $1) AS promised
"""


class StartsOnTheirWay:
    """Fulfils `presence_ports.FindStarts`. The broker is asked at most twice a second, however many wait."""

    def __init__(self, pool: asyncpg.Pool, connection: AbstractRobustConnection) -> None:
        self._pool = pool
        self._connection = connection
        self._seen: tuple[float, int, int] | None = None

    async def __call__(self, workflow_id: UUID) -> StartsUnderWay:
        """Where the start of this workflow could be."""
        row = await self._pool.fetchrow(_IN_HAND, workflow_id, LIVE_FOR)
        assert row is not None  # it always answers
        in_line, coming_again = await self._depths()
        return StartsUnderWay(in_line, coming_again, unpacking=row["unpacking"], promised=row["promised"])

    async def _depths(self) -> tuple[int, int]:
        if self._seen is None or time.monotonic() - self._seen[0] > FRESH_SECONDS:
            line, rooms = steps_queue(DEFAULT_POOL), {again_name(pause) for pause in AGAIN_AFTER}
            ready = await ready_in(self._connection, [line, *rooms])
            self._seen = time.monotonic(), ready[line], sum(ready[room] for room in rooms)
        return self._seen[1:]
