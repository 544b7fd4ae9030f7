"""Workflows that nobody can run now: kept aside at no cost, and sent for as soon as somebody can."""

import asyncio
from datetime import timedelta

import structlog
from ratchet.messages.commands import CONTINUE, ContinueWorkflow, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import to_pool
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.recovery_ports import Sleeper, UnservedStore

log = structlog.get_logger()

EVERY = timedelta(seconds=2)
AT_REST_FOR = timedelta(seconds=15)
"""An executor that is restarted is back by then."""
SOME = 100
TOO_LONG = timedelta(seconds=7)
"""A look that took so long was held up by the database, and then so were the executors' signs of life."""


class AwaitExecutors:
    """The use case. Any number may run: rows that one looks at are left out by the others."""

    def __init__(self, store: UnservedStore, metrics: RecoveryMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._out_of_touch_until = 0.0

    async def run(self) -> None:
        """For ever."""
        self.lose_touch()
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                while await self.wake() == SOME:
                    pass
            except Exception as error:  # whatever it was, they are still kept aside and this runs again
                self.lose_touch()
                log.warning("unserved.postponed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(EVERY.total_seconds())
            if clock() - began > TOO_LONG.total_seconds():
                self.lose_touch()

    def lose_touch(self) -> None:
        """The database was away, or this process stood still, or begins: executors need a moment to show themselves."""
        self._out_of_touch_until = asyncio.get_running_loop().time() + AT_REST_FOR.total_seconds()

    async def set_aside(self) -> int:
        """Keep apart what nothing will move because nobody can run it; how many were not yet. Safe to repeat."""
        if asyncio.get_running_loop().time() < self._out_of_touch_until:
            return 0
        async with self._store.transaction() as transaction:
            number = await transaction.set_aside(older_than=AT_REST_FOR)
        if number:
            log.warning(
                "workflows.unserved",
                workflows=number,
                advice="no executor has their module and serves their pool; see RATCHET_WORKFLOWS and RATCHET_POOLS",
            )
        return number

    async def wake(self) -> int:
        """Send for some of those that somebody can run by now; how many. Under their own commands, so twice is once."""
        async with self._store.transaction() as transaction:
            ready = await transaction.wake(limit=SOME)
            await transaction.post([_wake(sleeper) for sleeper in ready if sleeper.is_woken])
        if ready:
            log.info("workflows.served_again", workflows=len(ready))
        return len(ready)


def _wake(sleeper: Sleeper) -> Outgoing:
    body = encode(ContinueWorkflow(workflow_id=sleeper.workflow_id))
    return Outgoing(to_pool(sleeper.pool), sleeper.command_id, CONTINUE, body, sleeper.correlation_id)
