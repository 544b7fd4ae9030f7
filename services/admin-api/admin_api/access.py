"""Who may do what with which workflow; every refusal is written to the audit log."""

from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

from ratchet.domain.recovery import RecoveryKind

from admin_api.authenticate import Caller
from admin_api.limit_rate import REFUSALS, Limiter
from admin_api.problems import Problem, ProblemType

if TYPE_CHECKING:
    from ratchet.adapters.postgres.audit import RefusalLog
    from ratchet.adapters.postgres.workflow_views import WorkflowIdentity, WorkflowViews

_ADMIN_ONLY = frozenset({RecoveryKind.OVERRIDE})
_STAFF_ONLY = frozenset({RecoveryKind.RESTORE})


class Action(StrEnum):
    """The audit's words for what is no recovery."""

    READ = "read"
    LIST = "list"
    LIST_FAILED = "list-failed"
    READ_CHECKPOINTS = "read-checkpoints"
    START = "start"
    PREVIEW_RESTORE = "preview-restore"
    BULK_RECOVER = "bulk-recover"
    READ_BULK = "read-bulk-recoveries"
    READ_AUDIT = "read-audit"
    READ_PARKED = "read-parked"
    REPLAY_PARKED = "replay-parked"
    DISCARD_PARKED = "discard-parked"
    READ_SCAN = "read-scan"
    SCAN = "scan"
    OVERVIEW = "overview"


class Gate:
    """Lets through or raises Problem: 404 for an unknown workflow, 403 for what is not allowed."""

    def __init__(self, views: "WorkflowViews", refusals: "RefusalLog", limiter: Limiter) -> None:
        self._views = views
        self._refusals = refusals
        self._limiter = limiter

    async def to_read(self, caller: Caller, workflow_id: UUID) -> "WorkflowIdentity":
        """Owner, support and admins may look."""
        workflow = await self._known(workflow_id)
        if not (caller.principal.is_staff or caller.sub == workflow.owner_id):
            await self.refuse(caller, Action.READ, workflow_id=workflow_id)
        return workflow

    async def to_act(self, caller: Caller, workflow_id: UUID, *, kind: RecoveryKind) -> "WorkflowIdentity":
        """Owner and admins may act; restore is for support and admins, override for admins alone."""
        if kind in _ADMIN_ONLY or kind in _STAFF_ONLY:
            # Before the workflow is looked up: who may do this to none learns nothing about any.
            if not (caller.principal.is_admin or (kind in _STAFF_ONLY and caller.principal.is_staff)):
                await self.refuse(caller, kind, workflow_id=workflow_id)
            return await self._known(workflow_id)
        workflow = await self._known(workflow_id)
        if not (caller.principal.is_admin or caller.sub == workflow.owner_id):
            await self.refuse(caller, kind, workflow_id=workflow_id)
        return workflow

    async def staff(self, caller: Caller, *, action: Action, workflow_id: UUID | None = None) -> None:
        """Support and admins only."""
        if not caller.principal.is_staff:
            await self.refuse(caller, action, workflow_id=workflow_id)

    async def admin(self, caller: Caller, *, action: Action) -> None:
        """Admins only."""
        if not caller.principal.is_admin:
            await self.refuse(caller, action)

    async def owner_or_staff(self, caller: Caller, owner: str, *, action: Action) -> None:
        """Support and admins may name anybody; everybody else only themselves."""
        if not caller.principal.is_staff and caller.sub != owner:
            await self.refuse(caller, action)

    async def refuse(self, caller: Caller, action: StrEnum, *, workflow_id: UUID | None = None) -> NoReturn:
        """Record the attempt, then 403; 429 for who is refused again and again, since each record is kept for ever."""
        await self._limiter.admit("refusals", caller.sub, REFUSALS)
        needed = _NEEDED.get(action, "the owner of the workflow, or support or admin")
        detail = f"This needs {needed}."
        await self._refusals.refused(
            actor=caller.sub,
            action=action.value,
            reason=detail,
            correlation_id=caller.correlation_id,
            workflow_id=workflow_id,
        )
        raise Problem(ProblemType.FORBIDDEN, detail)

    async def _known(self, workflow_id: UUID) -> "WorkflowIdentity":
        workflow = await self._views.identify(workflow_id)
        if workflow is None:
            raise unknown_workflow()
        return workflow


def unknown_workflow() -> Problem:
    """404."""
    return Problem(ProblemType.UNKNOWN_WORKFLOW, "No workflow has this id.")


_OWNER_OR_ADMIN = "the owner of the workflow, or the role admin"

_NEEDED: dict[StrEnum, str] = {
    RecoveryKind.RECOVER: _OWNER_OR_ADMIN,
    RecoveryKind.RETRY: _OWNER_OR_ADMIN,
    RecoveryKind.SKIP: _OWNER_OR_ADMIN,
    RecoveryKind.CANCEL: _OWNER_OR_ADMIN,
    RecoveryKind.PAUSE: _OWNER_OR_ADMIN,
    RecoveryKind.RESUME: _OWNER_OR_ADMIN,
    RecoveryKind.RESTORE: "the role support or admin",
    RecoveryKind.OVERRIDE: "the role admin",
    Action.LIST: "the role support or admin to see other people's workflows",
    Action.LIST_FAILED: "the role support or admin",
    Action.READ_CHECKPOINTS: "the role support or admin",
    Action.PREVIEW_RESTORE: "the role support or admin",
    Action.READ_SCAN: "the role support or admin",
    Action.SCAN: "the role admin",
    Action.BULK_RECOVER: "the role admin",
    Action.READ_BULK: "the role admin",
    Action.READ_AUDIT: "the role admin",
    Action.READ_PARKED: "the role admin",
    Action.REPLAY_PARKED: "the role admin",
    Action.DISCARD_PARKED: "the role admin",
    Action.OVERVIEW: "the role support or admin",
    Action.START: "the role support or admin to start workflows for other people",
}
