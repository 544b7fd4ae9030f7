"""Ask the recovery service for something and wait for what comes of it; the workflow itself is never touched here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.commands import RecoveryCommand, RecoveryRequest, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import COMMANDS, Route, recovery_key

if TYPE_CHECKING:
    from ratchet.adapters.postgres.recoveries import RecoveryBell, RecoveryLedger, RecoveryRow
    from ratchet.ports import MessagePublisher

LOOK_EVERY = timedelta(seconds=0.5)
"""How often the row is looked at in case the bell was missed."""

PATIENCE = timedelta(seconds=2)
"""How long a command waits for the broker; after that recovery's relay sends it."""

COMMAND_OF: dict[RecoveryKind, RecoveryCommand] = {
    RecoveryKind.RECOVER: RecoveryCommand.RECOVER_WORKFLOW,
    RecoveryKind.RETRY: RecoveryCommand.RETRY_STEP,
    RecoveryKind.SKIP: RecoveryCommand.SKIP_STEP,
    RecoveryKind.RESTORE: RecoveryCommand.RESTORE_CHECKPOINT,
    RecoveryKind.OVERRIDE: RecoveryCommand.OVERRIDE_STATUS,
    RecoveryKind.CANCEL: RecoveryCommand.CANCEL_WORKFLOW,
    RecoveryKind.PAUSE: RecoveryCommand.PAUSE_WORKFLOW,
    RecoveryKind.RESUME: RecoveryCommand.RESUME_WORKFLOW,
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecoveryOrder:
    """What somebody wants done to a workflow."""

    kind: RecoveryKind
    workflow_id: UUID
    actor: str
    correlation_id: str
    reason: str | None = None
    checkpoint_seq: int | None = None
    status: WorkflowStatus | None = None
    failed_attempt: int | None = None
    if_match: str | None = None
    run_instead: str | None = None


class RecoveryDesk:
    """Takes orders and waits for their outcome for at most `wait`."""

    def __init__(
        self,
        ledger: "RecoveryLedger",
        bell: "RecoveryBell",
        publisher: "MessagePublisher",
        *,
        wait: timedelta,
    ) -> None:
        self._ledger = ledger
        self._bell = bell
        self._publisher = publisher
        self._wait = wait

    async def place(self, order: RecoveryOrder, recovery_id: UUID) -> "RecoveryRow | None":
        """What came of it, or None when nothing has yet. The same id again is the same order.

        Once it is kept it will be carried out: while the broker is away the command waits in the outbox.
        """
        command = _command(order, recovery_id)
        outbox_ids = await self._ledger.request(
            recovery_id, order.workflow_id, kind=order.kind, actor=order.actor, reason=order.reason, command=command
        )
        with self._bell.ringing(str(recovery_id)) as rung:
            await self._publish(command, outbox_ids)
            return await self._outcome(str(recovery_id), rung)

    async def _publish(self, command: Outgoing, outbox_ids: Sequence[int]) -> None:
        if not outbox_ids:
            return
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self._publisher.publish([command])
            await self._ledger.published(outbox_ids)
        except Exception as error:  # whatever it was, the order is kept, and the relay sends it
            log.warning("recovery.left_to_relay", error=f"{type(error).__name__}: {error}")

    async def _outcome(self, recovery_id: str, rung: asyncio.Event) -> "RecoveryRow | None":
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait.total_seconds()
        while True:
            left = deadline - loop.time()
            try:
                async with asyncio.timeout(min(LOOK_EVERY.total_seconds(), max(0.0, left))):
                    await rung.wait()
            except TimeoutError:
                pass  # looked at all the same: the bell may have been missed
            outcome = await self._ledger.outcome(recovery_id)
            if outcome is not None or left <= 0:
                return outcome
            rung.clear()


def location_of(workflow_id: UUID, recovery_id: object) -> str:
    """Where a recovery's outcome can be asked for."""
    return f"/api/v1/workflows/{workflow_id}/recoveries/{recovery_id}"


def _command(order: RecoveryOrder, recovery_id: UUID) -> Outgoing:
    command = COMMAND_OF[order.kind]
    request = RecoveryRequest(
        workflow_id=order.workflow_id,
        actor=order.actor,
        reason=order.reason,
        checkpoint_seq=order.checkpoint_seq,
        status=order.status,
        failed_attempt=order.failed_attempt,
        if_match=order.if_match,
        run_instead=order.run_instead,
    )
    return Outgoing(
        Route(COMMANDS, recovery_key(command)), str(recovery_id), command.value, encode(request), order.correlation_id
    )
