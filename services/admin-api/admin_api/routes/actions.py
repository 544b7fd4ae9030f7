"""What an owner can do to a workflow: recover, retry, skip, cancel, pause, resume."""

# ruff: noqa: FAST003  # `WorkflowId` holds the name

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body
from ratchet.domain.recovery import RecoveryKind
from starlette.responses import Response

from admin_api.answers import RecoveryRequested, WorkflowRecoveryResult
from admin_api.authenticate import Caller, CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import Collaborators, With
from admin_api.once import Answer, Post
from admin_api.openapi import POST_PROBLEMS, problems
from admin_api.outcomes import answer_to
from admin_api.parameters import IdempotencyKey, IfMatch, WorkflowId
from admin_api.request_recovery import RecoveryOrder
from admin_api.requests import ActionRequest, GoOnRequest

router = APIRouter(prefix="/api/v1/workflows", tags=["actions"], route_class=StrictRoute)

OptionalReason = Annotated[ActionRequest | None, Body()]
GoingOn = Annotated[GoOnRequest | None, Body()]


def documented(operation_id: str, summary: str) -> dict[str, Any]:
    """What all action routes say about themselves."""
    pending = {
        "model": RecoveryRequested,
        "description": "No outcome yet; look at `Location`.",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Where the outcome will be."}},
    }
    return {
        "operation_id": operation_id,
        "summary": summary,
        "response_model": WorkflowRecoveryResult,
        "responses": {202: pending} | problems(404, *POST_PROBLEMS),
    }


async def act(parts: Collaborators, caller: Caller, key: str | None, order: RecoveryOrder) -> Response:
    """Check the rights, place the order once, and answer with what came of it."""
    identity = await parts.gate.to_act(caller, order.workflow_id, kind=order.kind)

    async def operation(recovery_id: UUID) -> Answer:
        row = await parts.desk.place(order, recovery_id)
        answer = answer_to(order, recovery_id, row, begun=identity.begun)
        parts.metrics.manual_actions.labels(action=order.kind.value, outcome=_word(answer)).inc()
        return answer

    # Not `If-Match`: whoever asks again under the same key, having looked once more, is told what came of it.
    told = {"failedAttempt": order.failed_attempt, "runInstead": order.run_instead}
    body = {"reason": order.reason, "checkpointSeq": order.checkpoint_seq, "status": order.status}
    body |= {name: value for name, value in told.items() if value is not None}
    post = Post(caller.sub, key, f"{order.kind.value} {order.workflow_id}", body)
    return (await parts.once.run(post, operation)).response()


def _word(answer: Answer) -> str:
    match answer.status:
        case 200:
            return "done"
        case 202:
            return "pending"
        case 500:
            return "failed"
        case _:
            return "refused"


def _order(
    kind: RecoveryKind, workflow_id: UUID, caller: Caller, body: ActionRequest | None, if_match: str | None
) -> RecoveryOrder:
    given = body or ActionRequest()
    return RecoveryOrder(
        kind,
        workflow_id,
        caller.sub,
        caller.correlation_id,
        reason=given.reason or None,
        failed_attempt=given.failed_attempt,
        if_match=if_match,
        run_instead=given.run_instead if isinstance(given, GoOnRequest) else None,
    )


@router.post("/{workflowId}/recover", **documented("recoverWorkflow", "Recover a failed workflow"))
async def recover(
    *,
    workflow_id: WorkflowId,
    body: GoingOn = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """Go on from the newest intact checkpoint. 400 if it has not failed."""
    return await act(parts, caller, key, _order(RecoveryKind.RECOVER, workflow_id, caller, body, if_match))


@router.post("/{workflowId}/steps/current/retry", **documented("retryStep", "Retry the failed step"))
async def retry(
    *,
    workflow_id: WorkflowId,
    body: GoingOn = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """Run the step that failed again, with all its retries."""
    return await act(parts, caller, key, _order(RecoveryKind.RETRY, workflow_id, caller, body, if_match))


@router.post("/{workflowId}/steps/current/skip", **documented("skipStep", "Skip the failed step"))
async def skip(
    *,
    workflow_id: WorkflowId,
    body: OptionalReason = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """Go on with the next step. 409 if the step is not optional."""
    return await act(parts, caller, key, _order(RecoveryKind.SKIP, workflow_id, caller, body, if_match))


@router.post("/{workflowId}/cancel", **documented("cancelWorkflow", "Cancel a workflow"))
async def cancel(
    *,
    workflow_id: WorkflowId,
    body: OptionalReason = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """No further step runs; a step that is running cannot commit any more."""
    return await act(parts, caller, key, _order(RecoveryKind.CANCEL, workflow_id, caller, body, if_match))


@router.post("/{workflowId}/pause", **documented("pauseWorkflow", "Pause a workflow"))
async def pause(
    *,
    workflow_id: WorkflowId,
    body: OptionalReason = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """Stop before the next step, until it is resumed."""
    return await act(parts, caller, key, _order(RecoveryKind.PAUSE, workflow_id, caller, body, if_match))


@router.post("/{workflowId}/resume", **documented("resumeWorkflow", "Resume a paused workflow"))
async def resume(
    *,
    workflow_id: WorkflowId,
    body: GoingOn = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """Go on where it was paused."""
    return await act(parts, caller, key, _order(RecoveryKind.RESUME, workflow_id, caller, body, if_match))
