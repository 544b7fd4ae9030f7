"""What the operators' routes are asked."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from ratchet.domain.bulk_recovery import DEFAULT_CANARIES, MAX_CANARIES, ItemOutcome
from ratchet.failed_filter import FailedFilter
from ratchet.messages.commands import Name, WireModel

from admin_api.requests import GivenReason, NeededReason, PageQuery


class PreviewQuery(WireModel):
    """Which checkpoint."""

    checkpoint_seq: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="Left out: what a recovery would do."
    )


class BulkRecoveryRequest(WireModel):
    """Recover every failed workflow that the filter means, and why."""

    filter: FailedFilter = Field(examples=[{"definition": "order-fulfilment", "step": "charge"}])
    reason: NeededReason = Field(examples=["The payment service is back."])
    canary: Annotated[int, Field(ge=0, le=MAX_CANARIES)] = Field(
        DEFAULT_CANARIES, description="How many go first; nothing else starts before all of them are verified."
    )


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
