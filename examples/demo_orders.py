"""Orders at a pace one can watch; `make demo` runs them. What they need from other companies they ask for over HTTP.

The order names the outside world: `{"order": "A-1", "world": "http://127.0.0.1:9000"}`.
"""

import asyncio
from typing import Any

import httpx2
from ratchet import PermanentError, StepContext, TransientError, Workflow

orders = Workflow("demo-order")
flights = Workflow("demo-flight")

State = dict[str, Any]


async def ask(ctx: StepContext, state: State, service: str) -> State:
    """Ask another company for something. The key lets it do so once, however often it is asked."""
    url = f"{state['world']}/{service}/{state['order']}"
    async with httpx2.AsyncClient(timeout=5, trust_env=False) as http:
        answer = await http.post(url, headers={"Idempotency-Key": ctx.idempotency_key})
    if answer.status_code >= 500:
        raise TransientError(f"{service} answers {answer.status_code}")
    if answer.is_error:
        raise PermanentError(f"{service} answers {answer.status_code}")
    return state | {service: answer.json()["receipt"]}


@orders.step
async def reserve_stock(ctx: StepContext, state: State) -> State:
    """Set the goods aside."""
    await asyncio.sleep(1.2)
    return state | {"reserved": True}


@orders.step(timeout=10)
async def charge_card(ctx: StepContext, state: State) -> State:
    """The payment provider may be down for a while."""
    await asyncio.sleep(0.4)
    return await ask(ctx, state, "payment")


@orders.step
async def ship_parcel(ctx: StepContext, state: State) -> State:
    """Hand the parcel over."""
    await asyncio.sleep(1.5)
    return state | {"shipped": True}


@orders.step(optional=True)
async def send_survey(ctx: StepContext, state: State) -> State:
    """An order is complete without it."""
    await asyncio.sleep(0.6)
    return await ask(ctx, state, "survey")


@flights.step
async def pack_parcel(ctx: StepContext, state: State) -> State:
    """Get the parcel ready to fly."""
    await asyncio.sleep(1.2)
    return state | {"packed": True}


@flights.step(pool="drone", timeout=30)
async def fly_parcel(ctx: StepContext, state: State) -> State:
    """Runs on executors of the pool `drone` only. The take-off is asked for first, so a crash leaves it behind."""
    state = await ask(ctx, state, "take-off")
    await asyncio.sleep(2.5)
    return state | {"flown": True}


@flights.step
async def confirm_delivery(ctx: StepContext, state: State) -> State:
    """Tell the customer."""
    await asyncio.sleep(0.8)
    return state | {"confirmed": True}
