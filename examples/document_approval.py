"""A document is drafted, waits for a person's decision sent by another system, and is published or archived."""

from typing import Any

from pydantic import BaseModel
from ratchet import PermanentError, StepContext, Workflow

approvals = Workflow("document-approval", version=1)


class Document(BaseModel):
    """The workflow's state, checked each time it is read back."""

    title: str
    author: str = "unknown"
    draft: str | None = None
    approved_by: str | None = None
    published: bool = False


@approvals.step
async def write_draft(ctx: StepContext, state: Document) -> Document:
    """Prepare the text."""
    return state.model_copy(update={"draft": f"{state.title}, by {state.author}"})


@approvals.step(waits_for_command=True)
async def approve(ctx: StepContext, state: Document) -> Document:
    """Runs when an upstream `step.execute` brings the decision: `{"approved": true, "by": "li"}`."""
    if not ctx.inputs.get("approved"):
        raise PermanentError(f"Refused by {ctx.inputs.get('by', 'nobody')}")
    return state.model_copy(update={"approved_by": str(ctx.inputs.get("by", "unknown"))})


@approvals.step
async def publish(ctx: StepContext, state: Document) -> Any:
    """Make it public."""
    return state.model_copy(update={"published": True})
