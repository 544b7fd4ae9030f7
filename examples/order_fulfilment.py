"""An order is reserved, charged, shipped and followed by a survey. The payment provider is flaky on request."""

from typing import Any

from ratchet import PermanentError, Retry, StepContext, TransientError, Workflow

orders = Workflow("order-fulfilment", version=1)


@orders.step(timeout=30)
async def reserve_stock(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    """Set goods aside. An order without items can never be fulfilled, so there is nothing to retry."""
    if not state.get("items"):
        raise PermanentError("The order has no items")
    return state | {"reservation": f"R-{ctx.workflow_id.hex[:8]}"}


@orders.step(timeout=10)
async def charge_card(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    """Ask the payment provider. `paymentFailures` in the order says how often it is down first (-1: for good)."""
    failures = state.get("paymentFailures", 0)
    if failures < 0 and not state.get("paymentRepaired"):
        raise TransientError("The payment provider answers 503")
    if ctx.attempt <= failures:
        raise TransientError(f"The payment provider answers 503 (attempt {ctx.attempt})")
    # The key makes the provider charge once, however often it is asked.
    return state | {"payment": {"key": ctx.idempotency_key, "attempt": ctx.attempt}}


@orders.step(timeout=60)
async def ship_parcel(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    """Hand the parcel to the carrier."""
    ctx.log.info("parcel.shipped")
    return state | {"parcel": f"P-{ctx.workflow_id.hex[:8]}"}


@orders.step(optional=True, retry=Retry(0, 1, 1))
async def send_survey(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    """Ask for an opinion. Optional: an order is fulfilled without it, so its owner may skip it."""
    if state.get("surveyDown"):
        raise TransientError("The mail server does not answer")
    return state | {"survey": "sent"}
