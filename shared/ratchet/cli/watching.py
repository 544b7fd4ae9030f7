"""Commands that follow what happens: watch one workflow, tail all events."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import Age
from ratchet.cli.event_lines import event_line
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.following import Newsfeed, events_of
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.screen import Screen
from ratchet.cli.watch_view import WatchView
from ratchet.client import Client
from ratchet.domain.workflow import WorkflowStatus

NO_CALLER = Caller()

LOOK_EVERY = timedelta(milliseconds=500)
"""Events come at once; this is for what no event tells, like a committed step, and for when the notifier is away."""

EXIT_CODES = {
    WorkflowStatus.COMPLETED: ExitCode.DONE,
    WorkflowStatus.FAILED: ExitCode.FAILED,
    WorkflowStatus.CANCELLED: ExitCode.CANCELLED,
}


async def watch(workflow_id: UUID, /, *, timeout: Age | None = None, caller: Caller = NO_CALLER) -> ExitCode:
    """Follow one workflow until it ends; the exit code says how (0 completed, 1 failed, 6 cancelled, 5 still going).

    Parameters
    ----------
    workflow_id
        The workflow.
    timeout
        Stop watching after this long: 90s, 15m.
    """
    async with open_client(caller) as client:
        return await watch_with(client, workflow_id, caller.screen(), patience=timeout)


async def watch_with(
    client: Client, workflow_id: UUID, screen: Screen, *, patience: timedelta | None = None
) -> ExitCode:
    """Follow a workflow on the screen until it ends or `patience` is over."""
    try:
        async with asyncio.timeout(None if patience is None else patience.total_seconds()):
            return await _until_ended(client, workflow_id, screen)
    except TimeoutError:
        screen.remark(Text(f"Still going. Look again: ratchet status {workflow_id}", style="yellow"))
        return ExitCode.UNKNOWN


async def _until_ended(client: Client, workflow_id: UUID, screen: Screen) -> ExitCode:
    with WatchView(screen) as shown:
        async with Newsfeed(client, workflow_id) as news:
            while True:
                view, history = await asyncio.gather(client.get(workflow_id), client.history(workflow_id))
                shown.show(view, history)
                if view.has_ended:
                    return EXIT_CODES[view.status]
                await news.wait(LOOK_EVERY)


async def tail(
    *,
    after: int | None = None,
    mine: Annotated[bool, Parameter(negative="")] = False,
    workflow: UUID | None = None,
    count: int | None = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Show events as they happen, until Ctrl-C: everybody's for support and admins, else your own.

    Parameters
    ----------
    after
        Begin after this event's number; 0 shows all that are kept. Without it only new ones are shown.
    mine
        Only your own workflows' events, also for support and admins.
    workflow
        Only this workflow's events.
    count
        Stop after so many events.
    """
    screen = caller.screen()
    left = count
    async with open_client(caller) as client:
        feed = events_of(client, after="newest" if after is None else after, everybody=not mine, remark=screen.remark)
        async with aclosing(feed) as events:
            async for event in events:
                if workflow is not None and event.workflow_id != str(workflow):
                    continue
                screen.item(event.to_json(), event_line(event))
                left = None if left is None else left - 1
                if left is not None and left <= 0:
                    break
    return ExitCode.DONE
