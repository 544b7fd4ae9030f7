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


FailedAttempt = Annotated[
    int | None,
    Field(
        ge=0,
        le=2**31 - 1,
        description=(
            "The workflow's `failedAttempt` as it was seen: another failure by now is a 409, and nothing is done. "
            "`If-Match` with its ETag does the same more exactly."
        ),
    ),
]
RunInstead = Annotated[
    Name | None,
    Field(
        description=(
            "Where the definition has changed under its version: the step that may run in the place of the one that "
            "had failed (`wouldRun` of the refusal or of a preview). Without it that is a 409, and nothing is done."
        )
    ),
]


class ActionRequest(WireModel):
    """Why, and what was seen; optional."""

    reason: GivenReason | None = Field(None, examples=["The supplier is back."])
    failed_attempt: FailedAttempt = None


class GoOnRequest(ActionRequest):
    """Why, and what was seen and is meant; optional."""

    run_instead: RunInstead = None


class RestoreRequest(WireModel):
    """Go back to a checkpoint, and why."""

    failed_attempt: FailedAttempt = None
    run_instead: RunInstead = None

    checkpoint_seq: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(examples=[3])
    reason: NeededReason = Field(examples=["Step 4 booked the wrong amount."])


class OverrideRequest(WireModel):
    """Set a status along the transition table, and why."""

    failed_attempt: FailedAttempt = None
    run_instead: RunInstead = None

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
