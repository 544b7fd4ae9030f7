"""Moving finished workflows out of the way, a few at a time."""

from datetime import timedelta

import asyncpg

_ARCHIVE = "SELECT archive_finished($1, $2)"


class PostgresArchive:
    """Fulfils `recovery_ports.Archive`. One short statement for each batch; rows that anybody works on are left."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def archive_some(self, *, older_than: timedelta, limit: int) -> int:
        """Move up to `limit` workflows that were finished longer ago, with all that belongs to them."""
        return int(await self._pool.fetchval(_ARCHIVE, older_than, limit))
