"""An upstream `step.execute`: kept with the workflow, and the workflow woken if it waits for just that."""

import asyncio
from uuid import UUID

import orjson
from ratchet.domain.errors import MalformedMessage
from ratchet.messages.commands import ExecuteStep
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import ExecutionStore, InputsVerdict

from executor.delivery import Delivery, Ending
from executor.resume_workflow import ResumeWorkflow

# Start and step commands of one publisher are handled side by side, so the start may be a moment behind.
_LOOKS = (0.05, 0.1, 0.2, 0.5, 1.0)


class DriveStep:
    """The use case. One instance serves all deliveries."""

    def __init__(self, *, store: ExecutionStore, resume: ResumeWorkflow, metrics: ExecutorMetrics) -> None:
        self._store = store
        self._resume = resume
        self._metrics = metrics

    async def __call__(self, command: ExecuteStep, delivery: Delivery) -> Ending:
        """Safe to repeat.

        Raises:
            MalformedMessage: no such workflow, or its definition has no such step.
        """
        await self._wait_for_start(command.workflow_id)
        verdict = await self._store.keep_inputs(
            command.workflow_id,
            step_id=command.step_id,
            message_id=delivery.command_id,
            inputs_text=orjson.dumps(command.inputs).decode(),
        )
        match verdict:
            case InputsVerdict.DRIVES:
                return await self._resume(command.workflow_id, delivery)
            case InputsVerdict.UNKNOWN:
                raise MalformedMessage(f"The workflow has no step {command.step_id!r}")
            case InputsVerdict.KEPT:
                return Ending.DONE
            case InputsVerdict.IGNORED:
                self._metrics.stale.labels("inputs-ignored").inc()
                return Ending.DONE

    async def _wait_for_start(self, workflow_id: UUID) -> None:
        for pause in (*_LOOKS, None):
            if await self._store.exists(workflow_id):
                return
            if pause is not None:
                await asyncio.sleep(pause)
        raise MalformedMessage(f"There is no workflow {workflow_id}")
