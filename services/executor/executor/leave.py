"""Giving a claim back without a step having been done."""

from datetime import UTC, datetime, timedelta

import structlog
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages import events
from ratchet.messages.events import EventType, announce
from ratchet.messages.routes import to_pool
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim, ExecutionStore
from ratchet.presence_ports import Presence

from executor.decide import continue_command, new_id, subject_of
from executor.delivery import Ending
from executor.outlet import Outlet
from executor.rules import Rules

log = structlog.get_logger()

UNKNOWN_CODE_DELAY = timedelta(seconds=1)


class Leave:
    """Every way to let go of a workflow between two steps. Each raises Fenced if the claim is gone already."""

    def __init__(
        self,
        *,
        store: ExecutionStore,
        outlet: Outlet,
        rules: Rules,
        presence: Presence,
        metrics: ExecutorMetrics,
    ) -> None:
        self._store = store
        self._presence = presence
        self._outlet = outlet
        self._rules = rules
        self._metrics = metrics

    async def to_pool(self, claim: Claim, pool: str, delay: timedelta = timedelta(0)) -> Ending:
        """To the executors of `pool`, at once or after `delay`."""
        command_id = new_id()
        route, stay = self._rules.route_after(pool, delay) if delay else (to_pool(pool), delay)
        outgoing = [
            continue_command(claim.workflow_id, command_id, route, correlation_id=claim.correlation_id, delay=stay)
        ]
        committed = await self._store.hand_over(
            claim, status=WorkflowStatus.IN_PROGRESS, command_id=command_id, outgoing=outgoing, delay=delay or None
        )
        self._outlet.send(outgoing, committed)
        return Ending.DONE

    async def completed(self, claim: Claim) -> Ending:
        """All steps were done before (the workflow was paused, or its last step skipped)."""
        event = events.plain(EventType.COMPLETED)
        outgoing = [announce(event, subject_of(claim), event_id=new_id(), at=datetime.now(UTC))]
        committed = await self._store.hand_over(
            claim, status=WorkflowStatus.COMPLETED, command_id=new_id(), outgoing=outgoing
        )
        self._outlet.send(outgoing, committed)
        if not committed.paused:
            self._metrics.finished.labels("Completed").inc()
        return Ending.DONE

    async def without_code(self, claim: Claim, pool: str) -> Ending:
        """This executor lacks the workflow's module: to one that has it; where there is none, aside until there is."""
        definition = await self._presence.find(claim.definition, claim.version)
        step = None if definition is None else definition.step_at(claim.step_index)
        pool = pool if step is None else step.pool
        if await self._presence.is_served(claim.definition, claim.version, pool):
            self._metrics.stale.labels("handed-on").inc()
            return await self.to_pool(claim, pool, UNKNOWN_CODE_DELAY)
        log.error(
            "workflow.no_code",
            definition=claim.definition,
            version=claim.version,
            pool=pool,
            workflow_id=str(claim.workflow_id),
            advice="no executor of this pool has the workflow's module; check RATCHET_WORKFLOWS",
        )
        command_id = new_id()
        await self._store.hand_over(claim, status=WorkflowStatus.IN_PROGRESS, command_id=command_id, outgoing=[])
        # If this process ends here, the scan finds that nobody serves it.
        await self._presence.set_aside(claim.workflow_id, command_id)
        return Ending.DONE
