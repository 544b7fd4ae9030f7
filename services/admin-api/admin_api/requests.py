"""What the routes are asked: bodies and queries, with nothing unknown let through."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from ratchet.domain.failure import sanitise
from ratchet.domain.workflow import WorkflowStatus
from ratchet.failed_filter import FailedFilter
from ratchet.messages.commands import JsonObject, Name, WireModel

Limit = Annotated[int, Field(ge=1, le=200, description="Items of a page.")]
Cursor = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="`nextCursor` of the page before.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
    ),
]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


# A reason is shown to other people: control characters and anything that looks like a credential are taken out.
GivenReason = Annotated[str, Field(max_length=500), AfterValidator(sanitise)]
NeededReason = Annotated[str, Field(max_length=500), AfterValidator(sanitise), AfterValidator(_not_blank)]


class StartRequest(WireModel):
    """Begin a workflow."""

    definition: Name = Field(examples=["order-fulfilment"])
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(None, description="Left out: the newest.")
    input: JsonObject = Field(default_factory=dict, examples=[{"orderId": "A-17"}])
    workflow_id: UUID | None = Field(None, description="Left out: one is made. The same start again changes nothing.")
    owner_id: Name | None = Field(None, description="Support and admins may start for others.")


class ActionRequest(WireModel):
    """Why; optional."""

    reason: GivenReason | None = Field(None, examples=["The supplier is back."])


class RestoreRequest(WireModel):
    """Go back to a checkpoint, and why."""

    checkpoint_seq: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(examples=[3])
    reason: NeededReason = Field(examples=["Step 4 booked the wrong amount."])


class OverrideRequest(WireModel):
    """Set a status along the transition table, and why."""

    status: WorkflowStatus = Field(examples=["Failed"])
    reason: NeededReason = Field(examples=["Handled by hand, ticket 4711."])


class PageQuery(WireModel):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = 50


class CheckpointsQuery(PageQuery):
    """Which page of the checkpoints."""


class WorkflowsQuery(PageQuery):
    """Which workflows."""

    status: list[WorkflowStatus] = Field(default_factory=list, description="Any of these; may be repeated.")
    definition: Name | None = None
    owner: Name | None = Field(None, description="Support and admins may name anybody.")


class FailedSort(StrEnum):
    """Oldest failure first, or newest first."""

    OLDEST = "failedAt"
    NEWEST = "-failedAt"


class FailedQuery(FailedFilter):
    """Which failed workflows, in which order."""

    cursor: Cursor | None = None
    limit: Limit = 50
    sort: FailedSort = FailedSort.OLDEST
    archived: bool = Field(False, description="Those in the archive instead of those that stand in Failed.")


class GroupsQuery(FailedFilter):
    """Which failures are grouped, and which page of the groups."""

    cursor: Cursor | None = None
    limit: Limit = 50
