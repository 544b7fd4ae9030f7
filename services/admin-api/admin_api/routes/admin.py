"""What support and admins can do: see everybody's failures, restore from a checkpoint, override a status."""

# ruff: noqa: FAST003  # `WorkflowId` holds the name

from typing import Annotated

from fastapi import APIRouter, Query
from ratchet.domain.recovery import RecoveryKind
from starlette.responses import Response

from admin_api import cursors
from admin_api.access import Action
from admin_api.answers import CheckpointWithState, Page, WorkflowSummary
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.openapi import problems
from admin_api.parameters import IdempotencyKey, IfMatch, WorkflowId
from admin_api.request_recovery import RecoveryOrder
from admin_api.requests import CheckpointsQuery, FailedQuery, FailedSort, OverrideRequest, RestoreRequest
from admin_api.routes.actions import act, documented

router = APIRouter(prefix="/api/v1/admin/workflows", tags=["admin"], route_class=StrictRoute)


@router.get(
    "/failed", operation_id="listFailedWorkflows", summary="List failed workflows", responses=problems(400, 403, 422)
)
async def failed(
    *, query: Annotated[FailedQuery, Query()], caller: CurrentCaller, parts: With
) -> Page[WorkflowSummary]:
    """Oldest failure first unless asked otherwise. Every filter that is given must hold."""
    await parts.gate.staff(caller, action=Action.LIST_FAILED)
    views, edge = await parts.lists.failed(
        query,
        after=cursors.decode(query.cursor, order=query.sort),
        limit=query.limit,
        newest_first=query.sort is FailedSort.NEWEST,
        archived=query.archived,
    )
    items = [WorkflowSummary.model_validate(view) for view in views]
    return Page(items=items, next_cursor=cursors.encode(edge, order=query.sort))


@router.get(
    "/{workflowId}/checkpoints",
    operation_id="listCheckpoints",
    summary="List a workflow's checkpoints",
    responses=problems(400, 403, 404, 422),
)
async def checkpoints(
    *, workflow_id: WorkflowId, query: Annotated[CheckpointsQuery, Query()], caller: CurrentCaller, parts: With
) -> Page[CheckpointWithState]:
    """Oldest first, with their state and whether they are intact. A page may be shorter when states are large."""
    await parts.gate.staff(caller, action=Action.READ_CHECKPOINTS, workflow_id=workflow_id)
    await parts.gate.to_read(caller, workflow_id)
    rows, more = await parts.histories.checkpoints(
        workflow_id, after_seq=cursors.decode_number(query.cursor), limit=query.limit
    )
    items = [CheckpointWithState.model_validate(row) for row in rows]
    return Page(items=items, next_cursor=cursors.encode_number(items[-1].seq if more else None))


@router.post("/{workflowId}/restore", **documented("restoreCheckpoint", "Restore from a checkpoint"))
async def restore(
    *,
    workflow_id: WorkflowId,
    body: RestoreRequest,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """The workflow goes on by itself after the chosen checkpoint. From Failed, Paused, Completed and Cancelled."""
    order = RecoveryOrder(
        RecoveryKind.RESTORE,
        workflow_id,
        caller.sub,
        caller.correlation_id,
        reason=body.reason,
        checkpoint_seq=body.checkpoint_seq,
        failed_attempt=body.failed_attempt,
        if_match=if_match,
        run_instead=body.run_instead,
    )
    return await act(parts, caller, key, order)


@router.post("/{workflowId}/override", **documented("overrideStatus", "Override a workflow's status"))
async def override(
    *,
    workflow_id: WorkflowId,
    body: OverrideRequest,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
    parts: With,
) -> Response:
    """Along the transition table, never into Executing, and not out of Completed."""
    order = RecoveryOrder(
        RecoveryKind.OVERRIDE,
        workflow_id,
        caller.sub,
        caller.correlation_id,
        reason=body.reason,
        status=body.status,
        failed_attempt=body.failed_attempt,
        if_match=if_match,
        run_instead=body.run_instead,
    )
    return await act(parts, caller, key, order)
