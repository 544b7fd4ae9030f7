"""Commands that look and change nothing: status, history, checkpoints, list, failed."""

import asyncio
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import Age, Limit
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.next_steps import next_steps
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.tables import checkpoints_table, failed_table, history_tables, workflow_card, workflows_table
from ratchet.client import FailedFilter, FailedSort, Page, WorkflowFilter, WorkflowSummary
from ratchet.domain.workflow import FailureKind, WorkflowStatus

NO_CALLER = Caller()

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


async def checkpoints(workflow_id: UUID, /, *, caller: Caller = NO_CALLER) -> ExitCode:
    """Show the checkpoints that one workflow can be restored to (support and admins).

    Parameters
    ----------
    workflow_id
        The workflow.
    """
    async with open_client(caller) as client:
        page = await client.checkpoints(workflow_id)
    hint = Text(f"Go back to one: ratchet restore {workflow_id} SEQ --reason …", style="dim")
    caller.screen().answer(page.to_json(), checkpoints_table(page.items), hint)
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
    definition: str | None = None,
    step: str | None = None,
    owner: str | None = None,
    kind: FailureKind | None = None,
    older_than: Age | None = None,
    text: str | None = None,
    group: str | None = None,
    sort: Annotated[FailedSort, Parameter(name="--sort")] = FailedSort.OLDEST_FIRST,
    limit: Limit = 50,
    cursor: str | None = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """List failed workflows, the oldest failure first (support and admins).

    Parameters
    ----------
    definition
        Only those of this definition.
    step
        Only those that failed in this step.
    owner
        Only this person's.
    kind
        Only failures of this kind.
    older_than
        Only those that failed longer ago: 90s, 15m, 2h.
    text
        Only those whose reason contains this.
    group
        Only those of this failure group (its fingerprint).
    sort
        Oldest or newest failure first.
    limit
        How many at most, 1 to 200.
    cursor
        Go on where the last page ended.
    """
    filters = FailedFilter(
        definition=definition,
        step=step,
        owner=owner,
        kind=kind,
        older_than=older_than,
        text=text,
        group=group,
        sort=sort,
    )
    async with open_client(caller) as client:
        page = await client.failed(filters, cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), failed_table(page.items), _more(page))
    return ExitCode.DONE


def _more(page: Page[WorkflowSummary]) -> Text:
    if page.next_cursor is None:
        return Text(f"{len(page.items)} shown, no more.", style="dim")
    return Text(f"{len(page.items)} shown; go on with --cursor {page.next_cursor}", style="dim")
