"""What support sees of all workflows at once: failures grouped by their cause, and how the platform stands."""

from typing import Annotated

from fastapi import APIRouter, Query

from admin_api import cursors
from admin_api.access import Action
from admin_api.answers import FailureGroup, FailureGroups, Overview
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.openapi import problems
from admin_api.requests import GroupsQuery

router = APIRouter(prefix="/api/v1/admin", tags=["admin"], route_class=StrictRoute)


@router.get(
    "/failure-groups", operation_id="listFailureGroups", summary="Group failures", responses=problems(400, 403, 422)
)
async def failure_groups(
    *, query: Annotated[GroupsQuery, Query()], caller: CurrentCaller, parts: With
) -> FailureGroups:
    """Failed workflows that match, largest group first. Pass a `fingerprint` as `group` to list or recover its members.

    Alike are failures of one step with one error class and message, ids and numbers in the message aside.
    """
    await parts.gate.staff(caller, action=Action.LIST_FAILED)
    groups, edge = await parts.groups.page(query, after=cursors.decode_group(query.cursor), limit=query.limit)
    items = [FailureGroup.model_validate(group) for group in groups]
    total = await parts.groups.total(query)
    return FailureGroups(items=items, next_cursor=cursors.encode_group(edge), total=total)


@router.get("/overview", operation_id="getOverview", summary="How the platform stands", responses=problems(403))
async def overview(*, caller: CurrentCaller, parts: With) -> Overview:
    """Counts and queues, up to two seconds old."""
    await parts.gate.staff(caller, action=Action.OVERVIEW)
    return await parts.lookout.look()
