"""Commands that change a workflow: recover, retry, skip, cancel, pause, resume, restore, override."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.watching import watch_with
from ratchet.cli.wording import clock_time, plain, status_text
from ratchet.client import Client, RecoveryResult
from ratchet.domain.workflow import LIVE, WorkflowStatus

NO_CALLER = Caller()

Watch = Annotated[bool, Parameter(name="--watch", negative="")]
Act = Callable[[Client], Awaitable[RecoveryResult]]


async def recover(
    workflow_id: UUID, /, *, reason: str | None = None, watch: Watch = False, caller: Caller = NO_CALLER
) -> ExitCode:
    """Let a failed workflow go on from its newest intact checkpoint.

    Parameters
    ----------
    workflow_id
        The workflow.
    reason
        Why; kept in the audit log.
    watch
        Follow the workflow afterwards.
    """
    return await _act(
        workflow_id, lambda client: client.recover(workflow_id, reason=reason), watch=watch, caller=caller
    )


async def retry(
    workflow_id: UUID, /, *, reason: str | None = None, watch: Watch = False, caller: Caller = NO_CALLER
) -> ExitCode:
    """Try the failed step again, with its full retries.

    Parameters
    ----------
    workflow_id
        The workflow.
    reason
        Why; kept in the audit log.
    watch
        Follow the workflow afterwards.
    """
    return await _act(workflow_id, lambda client: client.retry(workflow_id, reason=reason), watch=watch, caller=caller)


async def skip(
    workflow_id: UUID, /, *, reason: str | None = None, watch: Watch = False, caller: Caller = NO_CALLER
) -> ExitCode:
    """Go on without the failed step, if it is optional.

    Parameters
    ----------
    workflow_id
        The workflow.
    reason
        Why; kept in the audit log.
    watch
        Follow the workflow afterwards.
    """
    return await _act(workflow_id, lambda client: client.skip(workflow_id, reason=reason), watch=watch, caller=caller)


async def cancel(workflow_id: UUID, /, *, reason: str | None = None, caller: Caller = NO_CALLER) -> ExitCode:
    """End a workflow where it stands.

    Parameters
    ----------
    workflow_id
        The workflow.
    reason
        Why; kept in the audit log.
    """
    return await _act(workflow_id, lambda client: client.cancel(workflow_id, reason=reason), caller=caller)


async def pause(workflow_id: UUID, /, *, reason: str | None = None, caller: Caller = NO_CALLER) -> ExitCode:
    """Hold a workflow before its next step.

    Parameters
    ----------
    workflow_id
        The workflow.
    reason
        Why; kept in the audit log.
    """
    return await _act(workflow_id, lambda client: client.pause(workflow_id, reason=reason), caller=caller)


async def resume(
    workflow_id: UUID, /, *, reason: str | None = None, watch: Watch = False, caller: Caller = NO_CALLER
) -> ExitCode:
    """Let a paused workflow go on.

    Parameters
    ----------
    workflow_id
        The workflow.
    reason
        Why; kept in the audit log.
    watch
        Follow the workflow afterwards.
    """
    return await _act(workflow_id, lambda client: client.resume(workflow_id, reason=reason), watch=watch, caller=caller)


async def restore(
    workflow_id: UUID, seq: int, /, *, reason: str, watch: Watch = False, caller: Caller = NO_CALLER
) -> ExitCode:
    """Go back to a chosen checkpoint and on from there (support and admins).

    Parameters
    ----------
    workflow_id
        The workflow.
    seq
        The checkpoint's number; `ratchet checkpoints ID` shows them.
    reason
        Why; kept in the audit log.
    watch
        Follow the workflow afterwards.
    """
    return await _act(
        workflow_id, lambda client: client.restore(workflow_id, seq, reason=reason), watch=watch, caller=caller
    )


async def override(
    workflow_id: UUID, status: WorkflowStatus, /, *, reason: str, caller: Caller = NO_CALLER
) -> ExitCode:
    """Set a workflow's status by hand, along the transition table (admins).

    Parameters
    ----------
    workflow_id
        The workflow.
    status
        Where it shall stand.
    reason
        Why; kept in the audit log.
    """
    return await _act(workflow_id, lambda client: client.override(workflow_id, status, reason=reason), caller=caller)


async def _act(workflow_id: UUID, act: Act, *, watch: bool = False, caller: Caller) -> ExitCode:
    screen = caller.screen()
    async with open_client(caller) as client:
        result = await act(client)
        screen.answer({"workflowId": str(workflow_id), **result.to_json()}, *_lines(workflow_id, result))
        if result.success is None and result.status is None:
            return ExitCode.UNKNOWN
        return await watch_with(client, workflow_id, screen) if watch else ExitCode.DONE


def _lines(workflow_id: UUID, result: RecoveryResult) -> list[Text]:
    if result.success is None and result.status is None:
        return [
            Text(f"Asked for, but not answered yet. See what came of it: ratchet status {workflow_id}", style="yellow")
        ]
    status = status_text(result.status) if result.status else Text("as asked")
    line = Text.assemble("The workflow is now ", status)
    if result.resumed_step and result.status in LIVE:
        origin = (
            Text.assemble("the checkpoint of ", clock_time(result.resumed_from))
            if result.resumed_from
            else Text("its input")
        )
        line = Text.assemble(line, " and goes on at ", plain(result.resumed_step, "bold"), " from ", origin)
    lines = [Text.assemble(line, ".")]
    if result.damaged_checkpoints:
        numbers = ", ".join(map(str, result.damaged_checkpoints))
        lines.append(Text(f"Damaged checkpoints were passed over: {numbers}.", style="yellow"))
    return lines
