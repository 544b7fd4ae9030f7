"""Commands that change a workflow: recover, retry, skip, cancel, pause, resume, restore, override."""

from collections.abc import Awaitable
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import FailedAttempt, NeededReason, Reason, RunInstead, Watch, WorkflowId
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.watching import watch_with
from ratchet.cli.wording import clock_time, plain, status_text
from ratchet.client import Client, RecoveryResult, Seen
from ratchet.domain.workflow import LIVE, WorkflowStatus

NO_CALLER = Caller()

Seq = Annotated[int, Parameter(help="The checkpoint's number; `ratchet checkpoints ID` shows them.")]
Status = Annotated[WorkflowStatus, Parameter(help="Where it shall stand.")]


async def recover(
    workflow_id: WorkflowId,
    /,
    *,
    reason: Reason = None,
    failed_attempt: FailedAttempt = None,
    run_instead: RunInstead = None,
    watch: Watch = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Let a failed workflow go on from its newest intact checkpoint."""
    async with open_client(caller) as client:
        seen = Seen(failed_attempt=failed_attempt)
        acting = client.recover(workflow_id, reason=reason, seen=seen, run_instead=run_instead)
        return await _tell(client, workflow_id, acting, caller, watch=watch)


async def retry(
    workflow_id: WorkflowId,
    /,
    *,
    reason: Reason = None,
    failed_attempt: FailedAttempt = None,
    run_instead: RunInstead = None,
    watch: Watch = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Try the failed step again, with its full retries."""
    async with open_client(caller) as client:
        seen = Seen(failed_attempt=failed_attempt)
        acting = client.retry(workflow_id, reason=reason, seen=seen, run_instead=run_instead)
        return await _tell(client, workflow_id, acting, caller, watch=watch)


async def skip(
    workflow_id: WorkflowId,
    /,
    *,
    reason: Reason = None,
    failed_attempt: FailedAttempt = None,
    watch: Watch = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Go on without the failed step, if it is optional."""
    async with open_client(caller) as client:
        acting = client.skip(workflow_id, reason=reason, seen=Seen(failed_attempt=failed_attempt))
        return await _tell(client, workflow_id, acting, caller, watch=watch)


async def cancel(workflow_id: WorkflowId, /, *, reason: Reason = None, caller: Caller = NO_CALLER) -> ExitCode:
    """End a workflow where it stands."""
    async with open_client(caller) as client:
        return await _tell(client, workflow_id, client.cancel(workflow_id, reason=reason), caller)


async def pause(workflow_id: WorkflowId, /, *, reason: Reason = None, caller: Caller = NO_CALLER) -> ExitCode:
    """Hold a workflow before its next step."""
    async with open_client(caller) as client:
        return await _tell(client, workflow_id, client.pause(workflow_id, reason=reason), caller)


async def resume(
    workflow_id: WorkflowId,
    /,
    *,
    reason: Reason = None,
    run_instead: RunInstead = None,
    watch: Watch = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Let a paused workflow go on."""
    async with open_client(caller) as client:
        acting = client.resume(workflow_id, reason=reason, run_instead=run_instead)
        return await _tell(client, workflow_id, acting, caller, watch=watch)


async def restore(
    workflow_id: WorkflowId,
    seq: Seq,
    /,
    *,
    reason: NeededReason,
    run_instead: RunInstead = None,
    watch: Watch = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Go back to a chosen checkpoint and on from there (support and admins)."""
    async with open_client(caller) as client:
        acting = client.restore(workflow_id, seq, reason=reason, run_instead=run_instead)
        return await _tell(client, workflow_id, acting, caller, watch=watch)


async def override(
    workflow_id: WorkflowId,
    status: Status,
    /,
    *,
    reason: NeededReason,
    run_instead: RunInstead = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Set a workflow's status by hand, along the transition table (admins)."""
    async with open_client(caller) as client:
        acting = client.override(workflow_id, status, reason=reason, run_instead=run_instead)
        return await _tell(client, workflow_id, acting, caller)


async def _tell(
    client: Client, workflow_id: UUID, acting: Awaitable[RecoveryResult], caller: Caller, *, watch: bool = False
) -> ExitCode:
    result, screen = await acting, caller.screen()
    screen.answer({"workflowId": str(workflow_id), **result.to_json()}, *_lines(workflow_id, result))
    if result.success is None and result.status is None:
        return ExitCode.UNKNOWN
    return await watch_with(client, workflow_id, screen) if watch else ExitCode.DONE


def _lines(workflow_id: UUID, result: RecoveryResult) -> list[Text]:
    if result.success is None and result.status is None:
        identity = result.recovery_id
        command = f"recovery {workflow_id} {identity}" if identity else f"history {workflow_id}"
        return [Text(f"Asked for, but not answered yet. See what came of it: ratchet {command}", style="yellow")]
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
