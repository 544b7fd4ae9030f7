"""Start a workflow: the promise and its message are kept together, then the message is published."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from ratchet.messages.commands import StartWorkflow, encode
from ratchet.messages.envelope import MAX_BODY_BYTES, Outgoing
from ratchet.messages.routes import COMMANDS, START, Route

from admin_api.answers import WorkflowStarted
from admin_api.once import Answer
from admin_api.problems import Problem, ProblemType

if TYPE_CHECKING:
    from ratchet.adapters.postgres.accepted_starts import AcceptedStarts
    from ratchet.ports import MessagePublisher

PATIENCE = timedelta(seconds=2)
"""How long a start waits for the broker; after that the relay sends it."""

log = structlog.get_logger()


class WorkflowStarter:
    """Accepts starts. A broker that is away does not matter: recovery's relay sends what lies in the outbox."""

    def __init__(self, starts: "AcceptedStarts", publisher: "MessagePublisher") -> None:
        self._starts = starts
        self._publisher = publisher

    async def start(self, command: StartWorkflow, *, message_id: UUID, correlation_id: str) -> Answer:
        """202 once the start is kept. Safe to repeat.

        Raises:
            Problem: 413, 422 for an unknown definition, 409 when the id belongs to another start.
        """
        body = encode(command)
        if len(body) > MAX_BODY_BYTES:
            raise Problem(ProblemType.TOO_LARGE, f"The start command has more than {MAX_BODY_BYTES} bytes.")
        version = await self._starts.resolve(command.definition, command.version)
        if version is None:
            raise _unknown(command)
        message = Outgoing(Route(COMMANDS, START), str(message_id), START, body, correlation_id)
        accepted, outbox_ids = await self._starts.accept(command, message, version=version)
        if not accepted:
            raise Problem(
                ProblemType.WORKFLOW_EXISTS,
                "This workflowId belongs to a workflow with other content. Take a new id, or leave it out.",
            )
        await self._publish(message, outbox_ids)
        answer = WorkflowStarted(workflow_id=command.workflow_id).model_dump(mode="json", by_alias=True)
        return Answer(202, answer, location=f"/api/v1/workflows/{command.workflow_id}")

    async def _publish(self, message: Outgoing, outbox_ids: Sequence[int]) -> None:
        if not outbox_ids:
            return
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self._publisher.publish([message])
            await self._starts.published(outbox_ids)
        except Exception as error:  # whatever it was, the start is kept, and the relay sends it
            log.warning("start.left_to_relay", error=f"{type(error).__name__}: {error}")


def _unknown(command: StartWorkflow) -> Problem:
    which = "" if command.version is None else f" in version {command.version}"
    return Problem(
        ProblemType.UNKNOWN_DEFINITION,
        f"No executor has registered this definition{which}. Check the name, and RATCHET_WORKFLOWS of the executors.",
    )
