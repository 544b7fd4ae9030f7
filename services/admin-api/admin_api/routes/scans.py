"""The restart scan: how it stands, and one on demand."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from starlette.responses import Response

from admin_api.access import Action
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.once import Answer, Post
from admin_api.openapi import POST_PROBLEMS, problems
from admin_api.parameters import IdempotencyKey
from admin_api.upkeep_answers import BreakerView, ScanRequested, ScanView
from admin_api.upkeep_requests import OptionalReasonRequest

router = APIRouter(prefix="/api/v1/admin/scan", tags=["admin"], route_class=StrictRoute)


@router.get("", operation_id="getScan", summary="How the restart scan stands", responses=problems(403))
async def get_scan(*, caller: CurrentCaller, parts: With) -> ScanView:
    """What the last scan did, and whether the breaker lets it rescue."""
    await parts.gate.staff(caller, action=Action.READ_SCAN)
    report = await parts.upkeep.scans.report()
    breaker, evidence = report.breaker, report.evidence
    return ScanView(
        breaker=BreakerView(
            state=breaker.state,
            changed_at=breaker.changed_at,
            probe_at=breaker.probe_at,
            verified=evidence.verified,
            relapsed=evidence.relapsed,
            pending=evidence.pending,
        ),
        scanned_at=report.scanned_at,
        resumed=report.last.resumed,
        failed=report.last.failed,
        attended=report.last.attended,
        held_back=report.last.held_back,
    )


@router.post(
    "",
    operation_id="requestScan",
    summary="Look for interrupted workflows now",
    status_code=202,
    response_model=ScanRequested,
    responses=problems(*POST_PROBLEMS),
)
async def request_scan(
    *,
    body: Annotated[OptionalReasonRequest | None, Body()] = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    parts: With,
) -> Response:
    """Safe to repeat: scans find each workflow once."""
    await parts.gate.admin(caller, action=Action.SCAN)
    reason = "asked for by a person" if body is None or not body.reason else body.reason

    async def operation(_operation_id: UUID) -> Answer:
        await parts.upkeep.ask_for_scan(reason=reason, correlation_id=caller.correlation_id)
        return Answer(202, ScanRequested(requested=True).model_dump(mode="json", by_alias=True))

    return (await parts.once.run(Post(caller.sub, key, "scan", {"reason": reason}), operation)).response()
