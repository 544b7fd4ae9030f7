"""What the operators' routes are asked."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from ratchet.domain.bulk_recovery import DEFAULT_CANARIES, MAX_CANARIES, ItemOutcome
from ratchet.failed_filter import MAX_RATE, MAX_SELECTED, FailedFilter
from ratchet.messages.commands import Name, WireModel

from admin_api.requests import GivenReason, NeededReason, PageQuery


class PreviewQuery(WireModel):
    """Which checkpoint."""

    checkpoint_seq: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="Left out: what a recovery would do."
    )


class BulkRecoveryRequest(WireModel):
    """Recover every failed workflow that the filter means, or these, or all; and why."""

    filter: FailedFilter | None = Field(None, examples=[{"definition": "order-fulfilment", "step": "charge"}])
    workflow_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_SELECTED)] | None = Field(
        None, description="These, instead of a filter."
    )
    all: bool = Field(False, description="Every failed workflow, instead of a filter; `expected` says how many.")
    expected: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None,
        description="Another number when the selection is frozen: 409 with that number, and nothing begins.",
    )
    reason: NeededReason = Field(examples=["The payment service is back."])
    canary: Annotated[int, Field(ge=0, le=MAX_CANARIES)] = Field(
        DEFAULT_CANARIES, description="How many go first; nothing else starts before all of them are verified."
    )
    rate: Annotated[int, Field(ge=1, le=MAX_RATE)] | None = Field(
        None, description="At most so many in a second; never more than the platform's own limit."
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        names_some = self.filter is not None and bool(self.filter.model_dump(exclude_none=True))
        if [names_some, self.workflow_ids is not None, self.all].count(True) != 1:
            raise ValueError(
                "say which workflows are meant: a filter that is not empty, workflowIds, or all: true; one of them"
            )
        if self.all and self.expected is None:
            raise ValueError("say how many they are: all goes with expected")
        return self


class ReasonRequest(WireModel):
    """Why; required."""

    reason: NeededReason = Field(examples=["Sent by a test."])


class OptionalReasonRequest(WireModel):
    """Why; optional."""

    reason: GivenReason | None = None


class BulkListQuery(PageQuery):
    """Which page of the bulk recoveries."""


class BulkQuery(PageQuery):
    """Which items."""

    outcome: ItemOutcome | None = None


class AuditQuery(PageQuery):
    """Which entries; everything that is given must hold."""

    workflow_id: UUID | None = None
    actor: Name | None = None
    action: Name | None = None
    outcome: Name | None = None


class VerificationQuery(WireModel):
    """A head that was kept elsewhere: the chain must still contain it."""

    head_position: Annotated[int, Field(ge=0, le=2**62)] | None = None
    head_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class ParkedQuery(PageQuery):
    """Which parked messages."""

    resolved: bool = Field(False, description="Those that were sent again or discarded, instead of the open ones.")
