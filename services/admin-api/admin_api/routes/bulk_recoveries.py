"""Recover many failed workflows at once, canaries first."""

# ruff: noqa: FAST003  # `BulkId` holds the name

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from ratchet.failed_filter import BulkOrder, FailedFilter, SelectionChanged, UnknownGroup
from starlette.responses import Response

from admin_api import cursors
from admin_api.access import Action
from admin_api.answers import Page
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.once import Answer, Post
from admin_api.openapi import POST_PROBLEMS, problems
from admin_api.parameters import IdempotencyKey
from admin_api.problems import Problem, ProblemType
from admin_api.upkeep_answers import BulkItem, BulkProgress, BulkRequested, BulkSummary
from admin_api.upkeep_requests import BulkListQuery, BulkQuery, BulkRecoveryRequest, ReasonRequest

if TYPE_CHECKING:
    from ratchet.adapters.postgres.bulk_requests import BulkView

router = APIRouter(prefix="/api/v1/admin/recoveries", tags=["bulk recovery"], route_class=StrictRoute)

BulkId = Annotated[UUID, Path(alias="recoveryId")]

_NEWEST = "-requestedAt"


@router.post(
    "",
    operation_id="recoverMany",
    summary="Recover many failed workflows",
    status_code=202,
    response_model=BulkRequested,
    responses=problems(404, *POST_PROBLEMS),
)
async def recover_many(
    *, body: BulkRecoveryRequest, caller: CurrentCaller, key: IdempotencyKey = None, parts: With
) -> Response:
    """The selection is frozen now. Nothing beyond the canaries starts before all are verified; a relapse stops it."""
    await parts.gate.admin(caller, action=Action.BULK_RECOVER)

    async def operation(bulk_id: UUID) -> Answer:
        order = BulkOrder(
            body.filter or FailedFilter(),
            caller.sub,
            body.reason,
            body.canary,
            caller.correlation_id,
            workflow_ids=tuple(dict.fromkeys(body.workflow_ids or ())),
            expected=body.expected,
            rate=body.rate,
        )
        try:
            total = await parts.upkeep.bulk.freeze(bulk_id, order)
        except UnknownGroup as error:
            raise Problem(ProblemType.UNKNOWN_GROUP, f"{error}. Nothing was begun.") from error
        except SelectionChanged as error:
            told = f"{error}. Nothing was begun: look again before you go on."
            raise Problem(ProblemType.SELECTION_CHANGED, told, extensions={"total": error.total}) from error
        answer = BulkRequested(recovery_id=bulk_id, total=total).model_dump(mode="json", by_alias=True)
        return Answer(202, answer, location=f"{router.prefix}/{bulk_id}")

    post = Post(caller.sub, key, "recover-many", body.model_dump(mode="json"))
    return (await parts.once.run(post, operation)).response()


@router.get("", operation_id="listBulkRecoveries", summary="List bulk recoveries", responses=problems(400, 403, 422))
async def list_bulk(
    *, query: Annotated[BulkListQuery, Query()], caller: CurrentCaller, parts: With
) -> Page[BulkSummary]:
    """Newest first."""
    await parts.gate.admin(caller, action=Action.READ_BULK)
    after = cursors.decode(query.cursor, order=_NEWEST)
    views, edge = await parts.upkeep.bulk.newest(after=after, limit=query.limit)
    return Page(items=[_summary(view) for view in views], next_cursor=cursors.encode(edge, order=_NEWEST))


@router.get(
    "/{recoveryId}",
    operation_id="getBulkRecovery",
    summary="How far a bulk recovery has come",
    responses=problems(400, 403, 404, 422),
)
async def get_bulk(
    *, bulk_id: BulkId, query: Annotated[BulkQuery, Query()], caller: CurrentCaller, parts: With
) -> BulkProgress:
    """With a page of its items, in the order of the selection."""
    await parts.gate.admin(caller, action=Action.READ_BULK)
    view = await parts.upkeep.bulk.find(bulk_id)
    if view is None:
        raise _unknown()
    items, edge = await parts.upkeep.bulk.items(
        bulk_id,
        outcome=None if query.outcome is None else query.outcome.value,
        after=cursors.decode_number(query.cursor),
        limit=query.limit,
    )
    shown = [BulkItem.model_validate(item) for item in items]
    return BulkProgress(**dict(_summary(view)), items=shown, next_cursor=cursors.encode_number(edge))


@router.post(
    "/{recoveryId}/cancel",
    operation_id="cancelBulkRecovery",
    summary="End a bulk recovery before its time",
    response_model=BulkSummary,
    responses=problems(404, *POST_PROBLEMS),
)
async def cancel_bulk(
    *, bulk_id: BulkId, body: ReasonRequest, caller: CurrentCaller, key: IdempotencyKey = None, parts: With
) -> Response:
    """Nothing more is started; what was started goes on. 409 when it is over already."""
    await parts.gate.admin(caller, action=Action.BULK_RECOVER)

    async def operation(_operation_id: UUID) -> Answer:
        ended = await parts.upkeep.bulk.cancel(
            bulk_id, actor=caller.sub, reason=body.reason, correlation_id=caller.correlation_id
        )
        view = await parts.upkeep.bulk.find(bulk_id)
        if view is None:
            raise _unknown()
        if not ended:
            raise Problem(ProblemType.ALREADY_SETTLED, f"The bulk recovery is {view.state} already.")
        return Answer(200, _summary(view).model_dump(mode="json", by_alias=True))

    post = Post(caller.sub, key, f"cancel-bulk {bulk_id}", body.model_dump(mode="json"))
    return (await parts.once.run(post, operation)).response()


def _summary(view: "BulkView") -> BulkSummary:
    progress = view.progress
    return BulkSummary(
        recovery_id=view.id,
        state=view.state,
        detail=view.detail,
        filter=dict(view.filter),
        actor=view.actor,
        reason=view.reason,
        canary=view.canary,
        rate=view.rate,
        requested_at=view.requested_at,
        finished_at=view.finished_at,
        total=view.total,
        started=progress.begun,
        open=progress.started,
        verified=progress.verified,
        relapsed=progress.relapsed,
        failed=progress.failed,
        skipped=progress.skipped,
        pending=progress.pending,
    )


def _unknown() -> Problem:
    return Problem(ProblemType.UNKNOWN_RECOVERY, "No bulk recovery has this id.")
