"""Commands that set work going: start, execute, scan."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import json_object
from ratchet.cli.environment import environment
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller, Show
from ratchet.cli.watching import watch_with
from ratchet.client import CommandPublisher

NO_CALLER = Caller()
NO_SHOW = Show()

Json = Annotated[str, Parameter(name=("--input", "-i"), allow_leading_hyphen=True)]


async def start(
    definition: str,
    /,
    *,
    input: Json = "{}",  # noqa: A002 - the contract's word
    workflow_id: Annotated[UUID | None, Parameter(name="--id")] = None,
    version: int | None = None,
    owner: str | None = None,
    watch: Annotated[bool, Parameter(name="--watch", negative="")] = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Start a workflow.

    Parameters
    ----------
    definition
        The workflow definition's name, like order-fulfilment.
    input
        What the first step gets: a JSON object, @file, or - for standard input.
    workflow_id
        The new workflow's id; the same id and content again changes nothing.
    version
        A version of the definition other than the newest.
    owner
        Whose workflow it is, if not the caller's (support and admins).
    watch
        Follow the workflow until it ends.
    """
    given = json_object(input)
    screen = caller.screen()
    async with open_client(caller) as client:
        started = await client.start(definition, given, workflow_id=workflow_id, version=version, owner_id=owner)
        if watch:
            return await watch_with(client, started.workflow_id, screen)
        hint = Text(f"Follow it: ratchet watch {started.workflow_id}", style="dim")
        screen.answer(started.to_json(), Text(f"Started {started.workflow_id}"), hint)
    return ExitCode.DONE


async def execute(workflow_id: UUID, step: str, /, *, inputs: Json = "{}", show: Show = NO_SHOW) -> ExitCode:
    """Drive a step that waits for a command, as an upstream service does (over RabbitMQ).

    Parameters
    ----------
    workflow_id
        The workflow.
    step
        The step's id.
    inputs
        What the step gets: a JSON object, @file, or - for standard input.
    """
    given = json_object(inputs)
    async with CommandPublisher.from_env(environment(), name="ratchet-command") as publisher:
        receipt = await publisher.execute_step(workflow_id, step, given)
    show.screen().answer(
        {"workflowId": str(workflow_id), "messageId": receipt.message_id, "correlationId": receipt.correlation_id},
        Text(f"Sent. See what came of it: ratchet status {workflow_id}"),
    )
    return ExitCode.DONE


async def scan(*, reason: str = "on demand", show: Show = NO_SHOW) -> ExitCode:
    """Look for interrupted workflows now instead of at the next regular scan (over RabbitMQ).

    Parameters
    ----------
    reason
        Why; shown in the recovery service's log.
    """
    async with CommandPublisher.from_env(environment(), name="ratchet-command") as publisher:
        receipt = await publisher.scan(reason=reason)
    show.screen().answer(
        {"messageId": receipt.message_id, "correlationId": receipt.correlation_id},
        Text("Asked for. What it rescues shows in: ratchet tail"),
    )
    return ExitCode.DONE
