"""The session in which an executor's keeper thread works, whatever the event loop does."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres import claims, commits
from ratchet.adapters.postgres.engine import CLOSE_SECONDS, connect_pool
from ratchet.adapters.postgres.locks import hold_life
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.envelope import Outgoing
from ratchet.ports import Claim, FailureCommit

# A host that lost its power says nothing: its session, and with it the sign of life, has to end before long.
_NOTICE_DEATH = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2"


class PostgresClaimKeeping:
    """Fulfils `keeping_ports.ClaimKeeping`."""

    def __init__(
        self, pool: asyncpg.Pool, connection: asyncpg.pool.PoolConnectionProxy, *, executor: str, lease: timedelta
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._executor = executor
        self._lease = lease

    @classmethod
    async def open(cls, database_url: str, *, executor: str, lease: timedelta) -> "PostgresClaimKeeping":
        """Connect, and be seen to live from now on."""
        pool = await connect_pool(database_url, application="executor-keeper", size=1)
        try:
            connection = await pool.acquire()
            await connection.execute(_NOTICE_DEATH)
            await hold_life(connection, executor)
        except BaseException:
            pool.terminate()
            raise
        return cls(pool, connection, executor=executor, lease=lease)

    @property
    def stands(self) -> bool:
        """False once the connection is gone."""
        return not self._connection.is_closed()

    async def extend(self, held: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
        """Two statements: what the caller knows of, and what it has not heard of yet."""
        kept = await claims.extend(self._connection, held, lease=self._lease)
        await claims.extend_own(self._connection, executor=self._executor, lease=self._lease)
        return kept

    async def fail(self, commit: FailureCommit) -> bool:
        """In one statement, as always. Recovery's relay publishes what it wrote to the outbox."""
        answers = await commits.commit_failures(self._connection, [commit], executor=self._executor, lease=self._lease)
        return answers[0] is not None

    async def hand_back(self, held: Sequence[tuple[Claim, Outgoing]]) -> int:
        """In one statement. Recovery's relay publishes the commands."""
        handovers = [
            commits.HandOver(claim, WorkflowStatus.IN_PROGRESS.value, command.message_id, (command,), None)
            for claim, command in held
        ]
        answers = await commits.hand_over(self._connection, handovers, lease=self._lease)
        return len([answer for answer in answers if answer is not None])

    async def close(self) -> None:
        """Without waiting for long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.release(self._connection)
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
