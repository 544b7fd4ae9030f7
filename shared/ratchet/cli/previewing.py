"""`ratchet preview`: what a restore or a recovery would do, before anybody does it (support and admins)."""

import json
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ratchet.cli.arguments import WorkflowId
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.tables import columns
from ratchet.cli.wording import clock_time, plain, printable
from ratchet.client import RestorePreview, StateChange
from ratchet.domain.json_diff import ChangeKind

NO_CALLER = Caller()

LONGEST_VALUE = 200
"""More of a value is only in `-o json`."""

Checkpoint = Annotated[
    int | None, Parameter(help="Its number, as `ratchet checkpoints ID` shows it; left out: what `recover` would do.")
]


async def preview(workflow_id: WorkflowId, /, *, checkpoint: Checkpoint = None, caller: Caller = NO_CALLER) -> ExitCode:
    """Show which steps would run again and what would change in the state. Nothing is done.

    The exit code is 3 if it would be refused or fail.
    """
    async with open_client(caller) as client:
        seen = await client.preview_restore(workflow_id, checkpoint)
    caller.screen().answer(seen.to_json(), *_lines(seen, asked_for=checkpoint))
    return ExitCode.DONE if seen.allowed else ExitCode.REFUSED


def _lines(seen: RestorePreview, *, asked_for: int | None) -> list[RenderableType]:
    if not seen.allowed:
        reason = seen.detail or seen.problem or "It is not possible"
        refused: list[RenderableType] = [
            Text.assemble(("It would be refused: ", "bold red"), plain(reason)),
            *_damaged(seen),
        ]
        if seen.would_run is not None:
            refused.append(Text.assemble("If that is meant: --run-instead ", plain(seen.would_run), style="dim"))
        return refused
    lines: list[RenderableType] = [_heading(seen), *_damaged(seen)]
    if seen.steps:
        lines += [Text(), Text("Would run, in this order", style="bold"), _steps_table(seen)]
    lines += [Text(), Text("Would change in the state", style="bold"), *map(_change, seen.state_diff)]
    if not seen.state_diff:
        lines.append(Text("nothing", style="dim"))
    if seen.diff_truncated:
        lines.append(Text("There is more; it is too much to be compared.", style="yellow"))
    command = f"recover {seen.workflow_id}" if asked_for is None else f"restore {seen.workflow_id} {asked_for}"
    return [*lines, Text(), Text(f"Do it: ratchet {command} --reason …", style="dim")]


def _heading(seen: RestorePreview) -> Text:
    if seen.checkpoint_seq is None:
        origin = Text("from its input")
    else:
        origin = Text.assemble(f"from checkpoint {seen.checkpoint_seq} of ", clock_time(seen.resumed_from))
    if seen.resumed_step is None:
        return Text.assemble("It would go on ", origin, ", where every step is done.")
    return Text.assemble("It would go on ", origin, " at ", plain(seen.resumed_step, "bold"), ".")


def _damaged(seen: RestorePreview) -> list[Text]:
    if not seen.damaged_checkpoints:
        return []
    return [Text(f"Damaged checkpoints: {', '.join(map(str, seen.damaged_checkpoints))}.", style="yellow")]


def _steps_table(seen: RestorePreview) -> Table:
    table = columns("", "step", "ran before", "last committed", "note")
    for number, step in enumerate(seen.steps, 1):
        name = Text.assemble(plain(step.step_id), (" optional", "dim") if step.optional else "")
        notes = []
        if step.already_done:
            notes.append(Text("would be done again, under a new key", style="yellow"))
        elif step.executions:
            notes.append(Text("tried again under the same key", style="dim"))
        if step.waits_for_command:
            notes.append(Text("waits for a command", style="dim"))
        times = {0: "never", 1: "once"}.get(step.executions, f"{step.executions} times")
        table.add_row(str(number), name, times, clock_time(step.last_committed_at), Text(", ").join(notes))
    return table


def _change(change: StateChange) -> Text:
    path = printable(change.path or "/")
    match change.op:
        case ChangeKind.ADD:
            return Text.assemble("+ ", path, "  ", _value(change.after), style="green")
        case ChangeKind.REMOVE:
            return Text.assemble("- ", path, "  ", _value(change.before), style="red")
        case ChangeKind.REPLACE:
            before, after = _value(change.before, "red"), _value(change.after, "green")
            return Text.assemble(("~ ", "yellow"), path, "  ", before, " → ", after)


def _value(value: Any, style: str = "") -> Text:
    text = json.dumps(value, ensure_ascii=False)
    return printable(text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…", style)
