"""An upstream `step.execute`: kept with the workflow, and the workflow woken if it waits for just that."""

import asyncio
from uuid import UUID

from ratchet.domain.errors import MalformedMessage
from ratchet.messages.commands import ExecuteStep, decode
from ratchet.messages.envelope import Incoming
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import ExecutionStore, MessagePublisher
from ratchet.state import encode_state
from ratchet.verdicts import InputsVerdict
from ratchet.wait_for_start import WaitForStart

from executor.delivery import Delivery, Ending
from executor.resume_workflow import ResumeWorkflow

# Start and step commands of one publisher are handled side by side, so the start may be a moment behind.
_LOOKS = (0.05, 0.1)


class DriveStep:
    """The use case. One instance serves all deliveries."""

    def __init__(
        self,
        *,
        store: ExecutionStore,
        resume: ResumeWorkflow,
        wait: WaitForStart,
        publisher: MessagePublisher,
        metrics: ExecutorMetrics,
    ) -> None:
        self._store = store
        self._wait = wait
        self._publisher = publisher
        self._resume = resume
        self._metrics = metrics

    async def __call__(self, message: Incoming, delivery: Delivery) -> Ending:
        """Safe to repeat. A command whose workflow has not been started yet goes round until it has.

        Raises:
            MalformedMessage: no such workflow, and no start under way; or its definition has no such step.
        """
        command = decode(ExecuteStep, message.body)
        if not await self._is_started(command.workflow_id):
            return await self._go_round(message, command.workflow_id)
        verdict = await self._store.keep_inputs(
            command.workflow_id,
            step_id=command.step_id,
            message_id=delivery.command_id,
            inputs_text=encode_state(command.inputs).decode(),
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

    async def _is_started(self, workflow_id: UUID) -> bool:
        for pause in (*_LOOKS, None):
            if await self._store.exists(workflow_id):
                return True
            if pause is not None:
                await asyncio.sleep(pause)
        return False

    async def _go_round(self, message: Incoming, workflow_id: UUID) -> Ending:
        again = await self._wait.again(message, workflow_id)
        if again is None:
            raise MalformedMessage(f"There is no workflow {workflow_id}, and no start is on its way")
        await self._publisher.publish([again])
        self._metrics.stale.labels("waits-for-start").inc()
        return Ending.DONE
