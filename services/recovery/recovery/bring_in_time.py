"""Retries whose time has come and whose command has not: it is brought, or if it waits in line, that is told.

After an outage of its target the broker keeps a dead letter back for up to three minutes, while the delay queue looks
empty. A command that is sent twice is taken once, so it is simply sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import structlog
from ratchet.domain.interruption import QueueDepth
from ratchet.domain.lateness import promised_after, stage_of
from ratchet.messages import events
from ratchet.messages.commands import CONTINUE, ContinueWorkflow, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import Subject, announce
from ratchet.messages.routes import to_pool
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.ports import MessagePublisher
from ratchet.recovery_ports import LateRetry, OverdueStore

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
OVERDUE = timedelta(seconds=3)
"""So late a command that was not lost has come, where none waits in line before it."""
AGAIN_SECONDS = 10.0
SOME = 200

Depths = Callable[[], Awaitable[Mapping[str, QueueDepth]]]


class BringInTime:
    """Runs for ever. Any number may run: commands and events have ids that are the same whoever sends them."""

    def __init__(
        self,
        store: OverdueStore,
        depths: Depths,
        publisher: MessagePublisher,
        metrics: RecoveryMetrics,
        *,
        default_limit: int,
    ) -> None:
        """`default_limit`: how many retries steps without a plan of their own have, as far as is known here."""
        self._store = store
        self._depths = depths
        self._publisher = publisher
        self._metrics = metrics
        self._default_limit = default_limit
        self._sent: dict[str, float] = {}
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """Look, then wait."""
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it was, they are still overdue and this runs again
                log.warning("overdue.postponed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(EVERY.total_seconds())

    async def look(self) -> int:
        """One look; how many commands were sent again. Safe to repeat and to run twice at once."""
        if not await self._store.is_any(by=OVERDUE):
            self._sent.clear()
            self._told.clear()
            return 0
        depths = await self._depths()
        served = {pool: depth for pool, depth in depths.items() if depth.consumers}
        quiet = [pool for pool, depth in served.items() if not depth.ready]
        brought = await self._bring(await self._store.overdue(quiet, by=OVERDUE, limit=SOME)) if quiet else 0
        slow = [pool for pool, depth in served.items() if depth.ready]
        if slow:
            await self._tell(await self._store.overdue(slow, by=OVERDUE, limit=SOME))
        return brought

    async def _bring(self, late: list[LateRetry]) -> int:
        now = asyncio.get_running_loop().time()
        self._sent = {command: at for command, at in self._sent.items() if now - at < AGAIN_SECONDS}
        missing = [retry for retry in late if retry.command_id not in self._sent]
        if not missing:
            return 0
        await self._publisher.publish([_command(retry) for retry in missing])
        self._sent |= dict.fromkeys((retry.command_id for retry in missing), now)
        self._metrics.overdue.inc(len(missing))
        log.info("retries.brought", retries=len(missing), latest_by=missing[0].late_by.total_seconds())
        return len(missing)

    async def _tell(self, late: list[LateRetry]) -> None:
        """A time that cannot be kept is told anew, each time twice as late as before."""
        stages = [(retry, stage_of(retry.late_by)) for retry in late]
        due = [(retry, stage) for retry, stage in stages if stage > self._told.get(retry.command_id, 0)]
        told = [(retry, stage) for retry, stage in due if retry.reason is not None]
        self._told |= {retry.command_id: stage for retry, stage in due}
        if not told:
            return
        async with self._store.transaction() as transaction:
            await transaction.post([self._correction(retry, stage) for retry, stage in told])
        log.info("retries.told_anew", retries=len(told))

    def _correction(self, retry: LateRetry, stage: int) -> Outgoing:
        limit = self._default_limit if retry.own_retries is None else retry.own_retries
        event = events.step_retrying(
            retry.step,
            retry=retry.retry_count,
            limit=max(limit, retry.retry_count),
            next_attempt_at=promised_after(retry.due_at, stage),
            reason=retry.reason or "",
            late=True,
        )
        subject = Subject(retry.workflow_id, retry.owner_id, retry.correlation_id)
        event_id = uuid5(NAMESPACE_URL, f"late retry\n{retry.command_id}\n{stage}")
        return announce(event, subject, event_id=str(event_id), at=datetime.now(UTC))


def _command(retry: LateRetry) -> Outgoing:
    body = encode(ContinueWorkflow(workflow_id=retry.workflow_id))
    return Outgoing(to_pool(retry.pool), retry.command_id, CONTINUE, body, retry.correlation_id)
