"""Everything the routes work with, opened by the app and handed to each request."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from ratchet.observability.metrics import AdminMetrics

from admin_api.access import Gate
from admin_api.look_over import Lookout
from admin_api.once import OnceOnly
from admin_api.request_recovery import RecoveryDesk
from admin_api.start_workflow import WorkflowStarter
from admin_api.upkeep import Upkeep

if TYPE_CHECKING:
    from ratchet.adapters.postgres.failure_groups import FailureGroups
    from ratchet.adapters.postgres.recoveries import RecoveryLedger
    from ratchet.adapters.postgres.workflow_history import WorkflowHistories
    from ratchet.adapters.postgres.workflow_lists import WorkflowLists
    from ratchet.adapters.postgres.workflow_views import WorkflowViews


@dataclass(frozen=True, slots=True)
class Collaborators:
    """One set for each running app."""

    gate: Gate
    once: OnceOnly
    starter: WorkflowStarter
    desk: RecoveryDesk
    metrics: AdminMetrics
    views: "WorkflowViews"
    histories: "WorkflowHistories"
    lists: "WorkflowLists"
    ledger: "RecoveryLedger"
    upkeep: Upkeep
    groups: "FailureGroups"
    lookout: Lookout


def collaborators_of(request: Request) -> Collaborators:
    """The running app's own."""
    found = request.app.state.collaborators
    if not isinstance(found, Collaborators):
        raise TypeError("the app's lifespan has not been entered")
    return found


With = Annotated[Collaborators, Depends(collaborators_of)]
