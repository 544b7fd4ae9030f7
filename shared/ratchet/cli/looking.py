"""Commands that look and change nothing: status, history, checkpoints, list, failed."""

import asyncio
from typing import Annotated, TypeVar
from uuid import UUID

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import Limit
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.failed_options import FailedOptions
from ratchet.cli.next_steps import next_steps
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.tables import checkpoints_table, failed_table, history_tables, workflow_card, workflows_table
from ratchet.client import Page, View, WorkflowFilter
from ratchet.domain.workflow import WorkflowStatus

NO_CALLER = Caller()
NO_CHOICE = FailedOptions()

Shown = TypeVar("Shown", bound=View)

Statuses = Annotated[list[WorkflowStatus] | None, Parameter(negative="")]


async def status(workflow_id: UUID, /, *, caller: Caller = NO_CALLER) -> ExitCode:
    """Show one workflow: where it stands, its steps, and why it failed if it did.

    Parameters
    ----------
    workflow_id
        The workflow.
    """
    async with open_client(caller) as client:
        view, history = await asyncio.gather(client.get(workflow_id), client.history(workflow_id))
    caller.screen().answer(view.to_json(), workflow_card(view, history.attempts), *next_steps(view))
    return ExitCode.DONE


async def history(workflow_id: UUID, /, *, caller: Caller = NO_CALLER) -> ExitCode:
    """Show all that happened to one workflow: attempts, checkpoints, recoveries, events.

    Parameters
    ----------
    workflow_id
        The workflow.
    """
    async with open_client(caller) as client:
        found = await client.history(workflow_id)
    caller.screen().answer(found.to_json(), history_tables(found))
    return ExitCode.DONE


async def checkpoints(
    workflow_id: UUID, /, *, limit: Limit = 50, cursor: str | None = None, caller: Caller = NO_CALLER
) -> ExitCode:
    """Show the checkpoints that one workflow can be restored to, oldest first (support and admins).

    Parameters
    ----------
    workflow_id
        The workflow.
    limit
        How many at most, 1 to 200.
    cursor
        Go on where the last page ended.
    """
    async with open_client(caller) as client:
        page = await client.checkpoints(workflow_id, cursor=cursor, limit=limit)
    hint = Text(f"Go back to one: ratchet restore {workflow_id} SEQ --reason …", style="dim")
    caller.screen().answer(page.to_json(), checkpoints_table(page.items), _more(page), hint)
    return ExitCode.DONE


async def list_workflows(
    *,
    status: Statuses = None,
    definition: str | None = None,
    owner: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """List workflows, newest first: your own, or everybody's for support and admins.

    Parameters
    ----------
    status
        Only those that stand there; repeat it for more.
    definition
        Only those of this definition.
    owner
        Only this person's (support and admins).
    limit
        How many at most, 1 to 200.
    cursor
        Go on where the last page ended.
    """
    filters = WorkflowFilter(status=tuple(status or ()), definition=definition, owner=owner)
    async with open_client(caller) as client:
        page = await client.list(filters, cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), workflows_table(page.items), _more(page))
    return ExitCode.DONE


async def failed(
    *,
    chosen: FailedOptions = NO_CHOICE,
    limit: Limit = 50,
    cursor: str | None = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """List failed workflows, the oldest failure first (support and admins).

    Parameters
    ----------
    limit
        How many at most, 1 to 200.
    cursor
        Go on where the last page ended.
    """
    async with open_client(caller) as client:
        page = await client.failed(chosen.filter(), cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), failed_table(page.items), _more(page))
    return ExitCode.DONE


def _more(page: Page[Shown]) -> Text:
    if page.next_cursor is None:
        return Text(f"{len(page.items)} shown, no more.", style="dim")
    return Text(f"{len(page.items)} shown; go on with --cursor {page.next_cursor}", style="dim")
