"""Waiting until a workflow has ended, by looking again and again: quickly while it moves, slower while it rests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from ratchet.client.errors import Problem, WaitTimeout
from ratchet.client.results import WorkflowView

FIRST_LOOK = timedelta(milliseconds=100)
SLOWEST_LOOK = timedelta(seconds=1)

Look = Callable[[], Awaitable[WorkflowView]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for the end, and for the workflow to become known at all."""

    timeout: timedelta | None = None
    appears_within: timedelta = timedelta(0)


async def until_ended(look: Look, patience: Patience, *, sleep: Sleep = asyncio.sleep) -> WorkflowView:
    """Return the first view that has ended.

    Raises:
        WaitTimeout: none had after `patience.timeout`.
        Problem: a look was refused.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    pause, seen = FIRST_LOOK, None
    while True:
        waited = timedelta(seconds=clock() - begun)
        view = await _look(look, may_be_unknown=waited < patience.appears_within)
        if view is not None and view.has_ended:
            return view
        if patience.timeout is not None and waited >= patience.timeout:
            raise WaitTimeout(f"The workflow had not ended after {patience.timeout}; it goes on by itself")
        pause = min(pause * 1.5, SLOWEST_LOOK) if view == seen else FIRST_LOOK
        seen = view
        left = pause if patience.timeout is None else min(pause, patience.timeout - waited)
        await sleep(left.total_seconds())


async def _look(look: Look, *, may_be_unknown: bool) -> WorkflowView | None:
    try:
        return await look()
    except Problem as problem:
        if may_be_unknown and problem.status == HTTPStatus.NOT_FOUND:
            return None
        raise
