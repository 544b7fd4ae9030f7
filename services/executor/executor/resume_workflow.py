"""Claiming a workflow that exists, in the name of a message; also from an executor that died holding it."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.domain.suspicion import is_suspect
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import ClaimAnswer, ClaimRequest, ClaimVerdict, Committed, ExecutionStore, MessagePublisher

from executor.decide import continue_command, dead_letter_for, new_id
from executor.delivery import CAME_BACK_HEADER, Delivery, Ending
from executor.holdings import Holdings, Work
from executor.outlet import Outlet
from executor.rules import Rules
from executor.run_workflow import RunWorkflow
from executor.suspects import Suspects

log = structlog.get_logger()

PATIENCE = (0.03, 0.05, 0.1, 0.2, 0.4)
"""Pauses before a workflow whose holder lives is asked for again: a process that was killed is gone by then."""

HELD_DELAY = timedelta(seconds=2)
"""Then its message goes round, and others get the place."""


class ResumeWorkflow:
    """The use case. One instance serves all deliveries."""

    def __init__(
        self,
        *,
        store: ExecutionStore,
        run: RunWorkflow,
        holdings: Holdings,
        outlet: Outlet,
        publisher: MessagePublisher,
        rules: Rules,
        metrics: ExecutorMetrics,
    ) -> None:
        self._store = store
        self._run = run
        self._holdings = holdings
        self._outlet = outlet
        self._publisher = publisher
        self._rules = rules
        self._metrics = metrics
        self._suspects = Suspects()

    async def __call__(self, workflow_id: UUID, delivery: Delivery) -> Ending:
        """Claim a workflow that exists, and advance it as far as this delivery may."""
        while True:
            wait: timedelta | None = None
            with self._holdings.reserve(workflow_id, delivery.command_id) as under_way:
                if under_way is None:
                    outcome = await self._claim(workflow_id, delivery)
                    if isinstance(outcome, Ending):
                        return self._holdings.ended(workflow_id, delivery.command_id, outcome)
                    wait = outcome
            if wait is not None:
                # The same message goes round again, so its reservation has to be gone before it comes back.
                return await self._postpone(workflow_id, delivery, wait)
            ending = None if under_way is None else await self._rejoin(under_way, workflow_id, delivery)
            if ending is not None:
                return ending

    async def _claim(self, workflow_id: UUID, delivery: Delivery) -> Ending | timedelta:
        """How it ended, or how long the message has to wait before it may ask again."""
        for pause in (*PATIENCE, None):
            asked_at = time.monotonic()
            answer = await self._store.claim(_request(workflow_id, delivery, take_over=False))
            if answer.claim is not None:
                return await self._run(answer.claim, delivery, asked_at)
            if answer.verdict is not ClaimVerdict.HELD:
                break
            if pause is not None:
                await asyncio.sleep(pause)
        if answer.verdict is ClaimVerdict.EARLY:
            return answer.due_in or timedelta(0)
        if answer.verdict is ClaimVerdict.HELD:
            self._metrics.stale.labels(answer.verdict.value).inc()
            return HELD_DELAY
        return await self._act_on_refusal(answer, workflow_id, delivery)

    async def _rejoin(self, under_way: Work, workflow_id: UUID, delivery: Delivery) -> Ending | None:
        """The message of what this executor still runs came once more.

        A copy is nothing new. One that came back, because the connection was lost or the broker lost its patience,
        takes part in the end of the work. When it comes back again, the step outlasts what the broker allows: the
        message is let go, and the work lives on its lease.
        """
        if not delivery.redelivered:
            return self._stale(ClaimVerdict.BUSY)
        if under_way.returns:
            log.warning("message.let_go", workflow_id=str(workflow_id), correlation_id=delivery.correlation_id)
            return self._stale(ClaimVerdict.BUSY)
        return await under_way.over()

    async def _act_on_refusal(self, answer: ClaimAnswer, workflow_id: UUID, delivery: Delivery) -> Ending:
        if answer.verdict is ClaimVerdict.ABANDONED:
            return await self._resume_abandoned(workflow_id, delivery, answer)
        return self._stale(answer.verdict)

    async def _resume_abandoned(self, workflow_id: UUID, delivery: Delivery, answer: ClaimAnswer) -> Ending:
        if answer.recoveries >= AUTOMATIC_LIMIT:
            return await self._leave_to_recovery(workflow_id, delivery)
        if not is_suspect(answer.recoveries) or answer.abandoned is None:
            return await self._take_over(workflow_id, delivery)
        async with AsyncExitStack() as waiting:
            await waiting.enter_async_context(self._holdings.guard(workflow_id, answer.abandoned))
            async with self._suspects.trial(answer.recoveries) as trial:
                await waiting.aclose()
                return await self._take_over(workflow_id, delivery, trial.acquit)

    async def _take_over(
        self, workflow_id: UUID, delivery: Delivery, on_commit: Callable[[], None] | None = None
    ) -> Ending:
        asked_at = time.monotonic()
        answer = await self._store.claim(_request(workflow_id, delivery, take_over=True))
        if answer.claim is None:
            return self._stale(answer.verdict)
        self._metrics.takeovers.inc()
        log.warning(
            "workflow.taken_over",
            workflow_id=str(workflow_id),
            recoveries=answer.recoveries,
            correlation_id=answer.claim.correlation_id,
        )
        self._outlet.send(answer.announced, Committed(posted=answer.posted))
        return await self._run(answer.claim, delivery, asked_at, on_commit)

    async def _leave_to_recovery(self, workflow_id: UUID, delivery: Delivery) -> Ending:
        if delivery.can_be_rejected:
            return Ending.GIVEN_UP
        notice = dead_letter_for(workflow_id, new_id(), delivery.correlation_id)
        await self._publisher.publish([notice])
        return Ending.DONE

    async def _postpone(self, workflow_id: UUID, delivery: Delivery, wait: timedelta) -> Ending:
        route, stay = self._rules.route_after(delivery.pool, wait)
        again = continue_command(
            workflow_id, delivery.command_id, route, correlation_id=delivery.correlation_id, delay=stay
        )
        if delivery.redelivered:
            again = replace(again, headers={CAME_BACK_HEADER: True})
        await self._publisher.publish([again])
        return Ending.DONE

    def _stale(self, verdict: ClaimVerdict) -> Ending:
        self._metrics.stale.labels(verdict.value).inc()
        return Ending.DONE


def _request(workflow_id: UUID, delivery: Delivery, *, take_over: bool) -> ClaimRequest:
    return ClaimRequest(workflow_id, delivery.command_id, uuid4(), delivery.redelivered, take_over)
