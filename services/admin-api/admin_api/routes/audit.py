"""Read the audit log, and check that nobody tampered with it."""

from typing import Annotated

from fastapi import APIRouter, Query
from ratchet.domain.audit_chain import Head
from ratchet.recovery_ports import AuditFilter

from admin_api import cursors
from admin_api.access import Action
from admin_api.answers import Page
from admin_api.authenticate import CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import With
from admin_api.openapi import problems
from admin_api.problems import Problem, ProblemType
from admin_api.upkeep_answers import AuditFinding, AuditLine, AuditVerified, ChainHead
from admin_api.upkeep_requests import AuditQuery, VerificationQuery

router = APIRouter(prefix="/api/v1/admin/audit", tags=["audit"], route_class=StrictRoute)


@router.get("", operation_id="listAudit", summary="Read the audit log", responses=problems(400, 403, 422))
async def list_audit(*, query: Annotated[AuditQuery, Query()], caller: CurrentCaller, parts: With) -> Page[AuditLine]:
    """Newest first. Every recovery, override and refusal: who, what, when, why, before, after, outcome."""
    await parts.gate.admin(caller, action=Action.READ_AUDIT)
    wanted = AuditFilter(query.workflow_id, query.actor, query.action, query.outcome)
    before = cursors.decode_number(query.cursor) or None
    lines, edge = await parts.upkeep.audit.page(wanted, before=before, limit=query.limit)
    items = [AuditLine.model_validate(line) for line in lines]
    return Page(items=items, next_cursor=cursors.encode_number(edge))


@router.get("/verification", operation_id="verifyAudit", summary="Check the audit log", responses=problems(403, 422))
async def verify_audit(
    *, query: Annotated[VerificationQuery, Query()], caller: CurrentCaller, parts: With
) -> AuditVerified:
    """Finds entries that were edited, deleted, reordered or kept out. Keep the head elsewhere for the next time."""
    await parts.gate.admin(caller, action=Action.READ_AUDIT)
    found = await parts.upkeep.verify_audit(_expected(query))
    return AuditVerified(
        intact=found.intact,
        checked=found.checked,
        unsealed=found.unsealed,
        findings=[AuditFinding.model_validate(finding) for finding in found.findings],
        head=ChainHead(position=found.head.position, hash=found.head.hash.hex()),
    )


def _expected(query: VerificationQuery) -> Head | None:
    if query.head_position is None and query.head_hash is None:
        return None
    if query.head_position is None or query.head_hash is None:
        raise Problem(ProblemType.INVALID_REQUEST, "Give both headPosition and headHash, or neither.")
    return Head(query.head_position, bytes.fromhex(query.head_hash))
