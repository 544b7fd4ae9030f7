"""Start workflows and look at them."""

# ruff: noqa: FAST003  # `WorkflowId` holds the name

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from ratchet.messages.commands import StartWorkflow
from ratchet.messages.events import STAFF_ONLY
from starlette.responses import Response

from admin_api import cursors
from admin_api.access import Action, unknown_workflow
from admin_api.answers import History, Page, RecoveryState, WorkflowAnswer, WorkflowStarted, WorkflowSummary
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.once import Answer, Post
from admin_api.openapi import POST_PROBLEMS, problems
from admin_api.outcomes import state_of
from admin_api.parameters import IdempotencyKey, WorkflowId
from admin_api.problems import Problem, ProblemType
from admin_api.requests import StartRequest, WorkflowsQuery

router = APIRouter(prefix="/api/v1/workflows", tags=["workflows"], route_class=StrictRoute)

_NEWEST = "-createdAt"


@router.post(
    "",
    operation_id="startWorkflow",
    summary="Start a workflow",
    status_code=202,
    response_model=WorkflowStarted,
    responses=problems(*POST_PROBLEMS),
)
async def start(*, body: StartRequest, caller: CurrentCaller, key: IdempotencyKey = None, parts: With) -> Response:
    """The workflow belongs to the caller. 202 is a promise: it is kept also when broker or executors are away."""
    owner = body.owner_id or caller.sub
    await parts.gate.owner_or_staff(caller, owner, action=Action.START)

    async def operation(operation_id: UUID) -> Answer:
        command = StartWorkflow(
            workflow_id=body.workflow_id or operation_id,
            definition=body.definition,
            version=body.version,
            owner_id=owner,
            input=body.input,
        )
        return await parts.starter.start(command, message_id=operation_id, correlation_id=caller.correlation_id)

    post = Post(caller.sub, key, "start", body.model_dump(mode="json"))
    return (await parts.once.run(post, operation)).response()


@router.get("", operation_id="listWorkflows", summary="List workflows", responses=problems(400, 403, 422))
async def list_workflows(
    *, query: Annotated[WorkflowsQuery, Query()], caller: CurrentCaller, parts: With
) -> Page[WorkflowSummary]:
    """Newest first. Plain users see their own, support and admins everybody's."""
    if query.owner is not None:
        await parts.gate.owner_or_staff(caller, query.owner, action=Action.LIST)
    owner = query.owner if caller.principal.is_staff else caller.sub
    views, edge = await parts.lists.newest(
        owner=owner,
        definition=query.definition,
        statuses=query.status,
        after=cursors.decode(query.cursor, order=_NEWEST),
        limit=query.limit,
    )
    items = [WorkflowSummary.model_validate(view) for view in views]
    return Page(items=items, next_cursor=cursors.encode(edge, order=_NEWEST))


@router.get(
    "/{workflowId}", operation_id="getWorkflow", summary="Where a workflow stands", responses=problems(403, 404)
)
async def get_workflow(
    *, workflow_id: WorkflowId, caller: CurrentCaller, response: Response, parts: With
) -> WorkflowAnswer:
    """Also for one that no executor has taken up yet (it is NotStarted), and for one that is archived by now."""
    await parts.gate.to_read(caller, workflow_id)
    detail = await parts.views.detail(workflow_id)
    if detail is None:
        raise unknown_workflow()
    summary = WorkflowSummary.model_validate(detail.workflow)
    etag = f'"{detail.etag}"'
    response.headers["ETag"] = etag
    told = ("steps", "state", "archived_at", "held_up_by", "held_up_since", "failed_attempt")
    more = {name: getattr(detail, name) for name in told} | {"etag": etag}
    more |= {"requests": await parts.ledger.unanswered(workflow_id)}
    return WorkflowAnswer.model_validate({**dict(summary), **more, "archived": detail.archived_at is not None})


@router.get(
    "/{workflowId}/history", operation_id="getHistory", summary="What happened to it", responses=problems(403, 404)
)
async def get_history(*, workflow_id: WorkflowId, caller: CurrentCaller, parts: With) -> History:
    """Attempts, checkpoints, events and recoveries, each oldest first. Of an archived one, events may be gone.

    Tracebacks are for support and admins: they may hold values and names of the step's own code.
    """
    await parts.gate.to_read(caller, workflow_id)
    hidden = frozenset() if caller.principal.is_staff else frozenset(event.value for event in STAFF_ONLY)
    return History.model_validate(
        await parts.histories.history(workflow_id, without_events=hidden, with_tracebacks=caller.principal.is_staff)
    )


@router.get(
    "/{workflowId}/recoveries/{recoveryId}",
    operation_id="getRecovery",
    summary="What came of a recovery",
    responses=problems(403, 404, 422),
)
async def get_recovery(
    *,
    workflow_id: WorkflowId,
    recovery_id: Annotated[str, Path(alias="recoveryId", max_length=255, pattern=r"^[\x21-\x7e]+$")],
    caller: CurrentCaller,
    parts: With,
) -> RecoveryState:
    """`outcome` is `requested` until something has come of it."""
    await parts.gate.to_read(caller, workflow_id)
    found = await parts.ledger.find(recovery_id)
    if found is None or found.workflow_id != workflow_id:
        raise Problem(ProblemType.UNKNOWN_RECOVERY, "No recovery of this workflow has this id.")
    return state_of(found)
