"""Giving a claim back without a step having been done."""

from datetime import UTC, datetime, timedelta

import structlog
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages import events
from ratchet.messages.events import EventType, announce
from ratchet.messages.routes import to_pool
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim, ExecutionStore

from executor.decide import continue_command, new_id, subject_of
from executor.delivery import Ending
from executor.outlet import Outlet
from executor.rules import Rules

log = structlog.get_logger()

UNKNOWN_CODE_DELAY = timedelta(seconds=5)


class Leave:
    """Every way to let go of a workflow between two steps. Each raises Fenced if the claim is gone already."""

    def __init__(self, *, store: ExecutionStore, outlet: Outlet, rules: Rules, metrics: ExecutorMetrics) -> None:
        self._store = store
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
        """This executor lacks the workflow's module: try another one of the same pool, a little later."""
        log.error(
            "workflow.no_code",
            definition=claim.definition,
            version=claim.version,
            workflow_id=str(claim.workflow_id),
            advice="an executor of this pool runs without the workflow's module; check RATCHET_WORKFLOWS",
        )
        return await self.to_pool(claim, pool, UNKNOWN_CODE_DELAY)
