"""Look before a restore."""

# ruff: noqa: FAST003  # `WorkflowId` holds the name

from typing import Annotated

from fastapi import APIRouter, Query

from admin_api.access import Action, unknown_workflow
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.openapi import problems
from admin_api.parameters import WorkflowId
from admin_api.problems import Problem, ProblemType
from admin_api.restore_preview import preview_of
from admin_api.upkeep_answers import RestorePreview
from admin_api.upkeep_requests import PreviewQuery

router = APIRouter(prefix="/api/v1/admin/workflows", tags=["admin"], route_class=StrictRoute)


@router.get(
    "/{workflowId}/restore-preview",
    operation_id="previewRestore",
    summary="What a restore would do",
    responses=problems(403, 404, 422),
)
async def preview(
    *, workflow_id: WorkflowId, query: Annotated[PreviewQuery, Query()], caller: CurrentCaller, parts: With
) -> RestorePreview:
    """Which steps would run, which of them ran before, and how the state would change. Nothing is done."""
    await parts.gate.staff(caller, action=Action.PREVIEW_RESTORE, workflow_id=workflow_id)
    await parts.gate.to_read(caller, workflow_id)
    facts = await parts.upkeep.restore_facts.of(workflow_id)
    if facts is None:
        raise unknown_workflow()
    foreseen = preview_of(facts, query.checkpoint_seq)
    if foreseen is None:
        raise Problem(ProblemType.UNKNOWN_CHECKPOINT, f"The workflow has no checkpoint {query.checkpoint_seq}.")
    fields = {name: getattr(foreseen, name) for name in foreseen.__slots__}
    return RestorePreview.model_validate({"workflow_id": workflow_id, **fields})
