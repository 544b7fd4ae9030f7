"""Workflows, histories and lists as tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ratchet.cli.wording import ago, clock_time, plain, printable, status_text
from ratchet.client.results import (
    AttemptView,
    CheckpointView,
    EventView,
    History,
    Page,
    RecoveryView,
    StepView,
    WorkflowSummary,
    WorkflowView,
)
from ratchet.client.upkeep_results import BulkProgress
from ratchet.domain.workflow import LIVE, WorkflowStatus

MARKS = {"done": ("✓", "green"), "skipped": ("↷", "yellow"), "current": ("▸", "cyan"), "pending": ("·", "dim")}

VERDICT_STYLES = {"verified": "green", "relapsed": "red"}

_CURRENT_MARKS = {
    WorkflowStatus.FAILED: ("✗", "bold red"),
    WorkflowStatus.PAUSED: ("‖", "yellow"),
    WorkflowStatus.CANCELLED: ("■", "magenta"),
}


def columns(*names: str) -> Table:
    """An empty table; long cells are folded, so that whatever is copied is whole."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def facts_grid(facts: Iterable[tuple[str, RenderableType]]) -> Table:
    """Names and values below each other."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(Text(name, style="dim"), value)
    return grid


def more(page: Page[Any] | BulkProgress) -> Text:
    """Below a list: how to go on."""
    if page.next_cursor is None:
        return Text(f"{len(page.items)} shown, no more.", style="dim")
    return Text(f"{len(page.items)} shown; go on with --cursor {page.next_cursor}", style="dim")


def workflow_card(view: WorkflowView, attempts: Sequence[AttemptView] = (), *, moving: bool = False) -> RenderableType:
    """One workflow: heading, what matters about its state, its steps; with `moving` the current step's mark turns."""
    heading = Text.assemble(plain(view.definition, "bold"), f" v{view.version}  ", status_text(view.status))
    return Group(heading, facts_grid(_facts(view)), Text(), steps_table(view, attempts, moving=moving))


def steps_table(view: WorkflowView, attempts: Sequence[AttemptView] = (), *, moving: bool = False) -> Table:
    """The steps with their marks, how often each was tried, and the last trouble."""
    table = columns("", "step", "tries", "done", "note")
    for step in view.steps:
        own = [attempt for attempt in attempts if attempt.step_id == step.step_id]
        mark = _mark(view, step, moving=moving)
        name = Text.assemble(plain(step.step_id), (" optional", "dim") if step.optional else "")
        table.add_row(mark, name, str(len(own) or ""), clock_time(step.committed_at), _note(view, step, own))
    return table


def workflows_table(items: Iterable[WorkflowSummary]) -> Table:
    """Workflows as a list."""
    table = columns("workflow", "definition", "status", "step", "owner", "updated")
    for item in items:
        table.add_row(
            str(item.workflow_id),
            plain(item.definition),
            status_text(item.status),
            plain(item.current_step),
            plain(item.owner_id),
            ago(item.updated_at),
        )
    return table


def failed_table(items: Iterable[WorkflowSummary]) -> Table:
    """Failed workflows with why and since when."""
    table = columns("workflow", "definition", "step", "kind", "owner", "failed", "reason")
    for item in items:
        table.add_row(
            str(item.workflow_id),
            plain(item.definition),
            plain(item.current_step),
            plain(item.failure_kind),
            plain(item.owner_id),
            ago(item.failed_at),
            plain(item.failure_reason),
        )
    return table


def checkpoints_table(items: Iterable[CheckpointView]) -> Table:
    """What a workflow can be restored to; the marked one is where it stands."""
    table = columns("", "seq", "step", "committed", "note")
    for item in items:
        note = "damaged" if item.intact is False else "skipped" if item.skipped else ""
        table.add_row(
            Text("▸" if item.current else ""), str(item.seq), plain(item.step_id), clock_time(item.committed_at), note
        )
    return table


def history_tables(history: History) -> RenderableType:
    """Attempts, checkpoints, recoveries and events, oldest first."""
    parts: list[RenderableType] = []
    sections: tuple[tuple[str, Table, Sequence[object]], ...] = (
        ("Attempts", _attempts_table(history.attempts), history.attempts),
        ("Checkpoints", checkpoints_table(history.checkpoints), history.checkpoints),
        ("Recoveries", _recoveries_table(history.recoveries), history.recoveries),
        ("Events", _events_table(history.events), history.events),
    )
    for title, table, rows in sections:
        parts += [Text(f"{title} ({len(rows)})", style="bold"), *([table] if rows else [])]
    parts += _newest_traceback(history.attempts)
    if history.truncated:
        parts.append(Text("Older entries are left out.", style="yellow"))
    return Group(*parts)


def _attempts_table(attempts: Iterable[AttemptView]) -> Table:
    table = columns("step", "attempt", "outcome", "finished", "reason")
    for attempt in attempts:
        style = "green" if attempt.outcome == "succeeded" else "red"
        table.add_row(
            plain(attempt.step_id),
            str(attempt.attempt),
            plain(attempt.kind or attempt.outcome, style),
            clock_time(attempt.finished_at),
            plain(attempt.reason),
        )
    return table


def _newest_traceback(attempts: Sequence[AttemptView]) -> list[RenderableType]:
    """Where the newest failure came from; the API tells it to staff only."""
    failed = [attempt for attempt in attempts if attempt.traceback]
    if not failed:
        return []
    title = f"Traceback of {failed[-1].step_id}, attempt {failed[-1].attempt}"
    return [Text(title, style="bold"), printable(failed[-1].traceback or "", "red")]


def _recoveries_table(recoveries: Iterable[RecoveryView]) -> Table:
    table = columns("kind", "by", "outcome", "verdict", "when", "why")
    for recovery in recoveries:
        table.add_row(
            plain(recovery.kind),
            plain(recovery.actor),
            plain(recovery.outcome),
            plain(recovery.verification, VERDICT_STYLES.get(recovery.verification or "", "")),
            clock_time(recovery.attempted_at),
            plain(recovery.reason or recovery.detail),
        )
    return table


def _events_table(events: Iterable[EventView]) -> Table:
    table = columns("when", "event", "step", "reason")
    for event in events:
        table.add_row(
            clock_time(event.time),
            plain(event.type),
            plain(event.data.get("stepName")),
            plain(event.data.get("reason")),
        )
    return table


HELD_UP = {
    "no-executor": "no executor can run it now; it goes on by itself when one can",
    "line": "its retry is due and waits in line",
}


def _facts(view: WorkflowView) -> list[tuple[str, Text]]:
    facts = [
        ("workflow", plain(view.workflow_id)),
        ("owner", plain(view.owner_id)),
        ("updated", ago(view.updated_at)),
    ]
    if view.archived:
        facts.append(("archived", ago(view.archived_at)))
    for request in view.requests:
        asked = Text.assemble(plain(request.kind), " by ", plain(request.actor), ", ", ago(request.at))
        facts.append(("asked for", Text.assemble(asked, "; not answered yet")))
    if view.waiting_for:
        facts.append(("waits for", plain(view.waiting_for, "yellow")))
    if view.next_attempt_at:
        facts.append(("next attempt", clock_time(view.next_attempt_at)))
    if view.held_up_by:
        why = HELD_UP.get(view.held_up_by, view.held_up_by)
        facts.append(("held up", Text.assemble((why, "bold yellow"), ", since ", clock_time(view.held_up_since))))
    if view.status is WorkflowStatus.FAILED:
        kind = f" ({view.failure_kind})" if view.failure_kind else ""
        facts.append(("failed", Text.assemble(ago(view.failed_at), kind)))
        facts.append(("reason", plain(view.failure_reason, "red")))
    if view.requires_manual_intervention:
        facts.append(("needs", Text("a person", style="bold yellow")))
    return facts


def _mark(view: WorkflowView, step: StepView, *, moving: bool) -> RenderableType:
    if step.status == "current" and moving and view.status in LIVE and view.waiting_for is None:
        return Spinner("dots", style="cyan")
    mark, style = MARKS.get(step.status or "", MARKS["pending"])
    if step.status == "current":
        mark, style = _CURRENT_MARKS.get(view.status, (mark, style))
    return Text(mark, style=style)


def _done(step: StepView) -> Text:
    return Text() if step.committed_at is None else clock_time(step.committed_at)


def _note(view: WorkflowView, step: StepView, attempts: Sequence[AttemptView]) -> Text:
    if step.status == "skipped":
        return Text("skipped", style="yellow")
    if step.status != "current":
        return Text()
    if view.waiting_for == step.step_id:
        return Text("waits for a command", style="yellow")
    failed = [attempt for attempt in attempts if attempt.outcome == "failed"]
    return plain(failed[-1].reason, "red") if failed else Text()
