"""Commands that look and change nothing: status, history, checkpoints, recovery, list, failed, groups."""

import asyncio
import json
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import Cursor, Limit, WorkflowId
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.failed_options import FailedOptions
from ratchet.cli.next_steps import next_steps
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.tables import checkpoints_table, failed_table, history_tables, more, workflow_card, workflows_table
from ratchet.cli.upkeep_tables import groups_table, recovery_card
from ratchet.cli.wording import printable
from ratchet.client import FailedSort, WorkflowFilter
from ratchet.domain.workflow import WorkflowStatus

NO_CALLER = Caller()
NO_CHOICE = FailedOptions()

Statuses = Annotated[list[WorkflowStatus] | None, Parameter(negative="")]
Sort = Annotated[FailedSort, Parameter(help="Oldest or newest failure first.")]


async def status(
    workflow_id: WorkflowId,
    /,
    *,
    state: Annotated[bool, Parameter(negative="")] = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Show one workflow: where it stands, its steps, and why it failed if it did.

    Parameters
    ----------
    state
        Also show what the workflow carries along: the newest checkpoint's state, or its input.
    """
    async with open_client(caller) as client:
        view, history = await asyncio.gather(client.get(workflow_id), client.history(workflow_id))
    carried = [Text("State", style="bold"), printable(json.dumps(view.state, indent=2))] if state else []
    caller.screen().answer(view.to_json(), workflow_card(view, history.attempts), *carried, *next_steps(view))
    return ExitCode.DONE


async def history(workflow_id: WorkflowId, /, *, caller: Caller = NO_CALLER) -> ExitCode:
    """Show all that happened to one workflow: attempts, checkpoints, recoveries, events."""
    async with open_client(caller) as client:
        found = await client.history(workflow_id)
    caller.screen().answer(found.to_json(), history_tables(found))
    return ExitCode.DONE


async def checkpoints(
    workflow_id: WorkflowId, /, *, limit: Limit = 50, cursor: Cursor = None, caller: Caller = NO_CALLER
) -> ExitCode:
    """Show the checkpoints that one workflow can be restored to, oldest first (support and admins)."""
    async with open_client(caller) as client:
        page = await client.checkpoints(workflow_id, cursor=cursor, limit=limit)
    hints = (
        Text(f"Look first:      ratchet preview {workflow_id} --checkpoint SEQ", style="dim"),
        Text(f"Go back to one:  ratchet restore {workflow_id} SEQ --reason …", style="dim"),
    )
    caller.screen().answer(page.to_json(), checkpoints_table(page.items), more(page), *hints)
    return ExitCode.DONE


async def recovery(workflow_id: WorkflowId, recovery_id: str, /, *, caller: Caller = NO_CALLER) -> ExitCode:
    """Show what came of one recovery or other action; the exit code says it (0 done, 1 failed or refused, 5 not yet).

    Parameters
    ----------
    recovery_id
        The recovery's id, as the action told it.
    """
    async with open_client(caller) as client:
        found = await client.recovery(workflow_id, recovery_id)
    caller.screen().answer(found.to_json(), recovery_card(found))
    return {None: ExitCode.UNKNOWN, True: ExitCode.DONE, False: ExitCode.FAILED}[found.success]


async def list_workflows(
    *,
    status: Statuses = None,
    definition: str | None = None,
    owner: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
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
    """
    filters = WorkflowFilter(status=tuple(status or ()), definition=definition, owner=owner)
    async with open_client(caller) as client:
        page = await client.list(filters, cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), workflows_table(page.items), more(page))
    return ExitCode.DONE


async def failed(
    *,
    chosen: FailedOptions = NO_CHOICE,
    sort: Sort = FailedSort.OLDEST_FIRST,
    archived: Annotated[bool, Parameter(negative="")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """List failed workflows, the oldest failure first (support and admins).

    Parameters
    ----------
    archived
        Those in the archive instead. Recover or restore one by its id, and it comes back.
    """
    async with open_client(caller) as client:
        page = await client.failed(chosen.filter(sort), archived=archived, cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), failed_table(page.items), more(page))
    return ExitCode.DONE


async def groups(
    *, chosen: FailedOptions = NO_CHOICE, limit: Limit = 50, cursor: Cursor = None, caller: Caller = NO_CALLER
) -> ExitCode:
    """Group failures that look alike, the largest group first (support and admins)."""
    async with open_client(caller) as client:
        page = await client.failure_groups(chosen.filter(), cursor=cursor, limit=limit)
    hints = (
        Text("Its workflows:     ratchet failed --group GROUP", style="dim"),
        Text("Recover them all:  ratchet bulk preview --group GROUP", style="dim"),
    )
    caller.screen().answer(page.to_json(), groups_table(page.items), more(page), *hints)
    return ExitCode.DONE
