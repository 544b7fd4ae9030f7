"""The demo on the terminal: a table that is redrawn while it runs (plain lines in a pipe), and a summary."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from ratchet.domain.workflow import WorkflowStatus
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local_stack.demo.board import Board, Row

STYLES = {
    WorkflowStatus.EXECUTING: "cyan",
    WorkflowStatus.IN_PROGRESS: "yellow",
    WorkflowStatus.COMPLETED: "bold green",
    WorkflowStatus.FAILED: "bold red",
}
REDRAWS_PER_SECOND = 8


class DemoScreen:
    """Draws on a terminal; anywhere else it writes a line for each change."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._began = time.monotonic()
        self._told: dict[UUID, tuple[str, str]] = {}

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._console.print(Text.assemble(("demo ", "dim"), (text, style)), soft_wrap=True)

    @contextmanager
    def showing(self, board: Board) -> Iterator[None]:
        """Keeps the board in view while the context is open, and leaves its last state on the terminal."""
        self._began = time.monotonic()
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=lambda: _picture(board), console=self._console, refresh_per_second=REDRAWS_PER_SECOND):
            yield

    def tell(self, row: Row) -> None:
        """Something may be new in a row."""
        where, note = f"{row.status.value} {row.step}".strip(), row.note
        last_where, last_note = self._told.get(row.workflow_id, ("", ""))
        if self._console.is_terminal or (where, note) == (last_where, last_note):
            return
        self._told[row.workflow_id] = (where, note)
        seconds = f"{time.monotonic() - self._began:5.1f} s"
        what = [where] if where != last_where else []
        what += [f"({note})"] if note != last_note else []
        self._console.print(f"{seconds}  {row.scenario.title:<17} {' '.join(what)}", soft_wrap=True, markup=False)

    def summary(self, board: Board) -> None:
        """What should have happened, what did, and how long it took."""
        table = Table(title="How it ended", title_justify="left")
        for column in ("scenario", "expected", "happened"):
            table.add_column(column, overflow="fold")
        table.add_column("seconds", justify="right")
        table.add_column("")
        for row in board.rows:
            well = row.ended_well
            table.add_row(
                row.scenario.title,
                row.scenario.expected,
                Text(_happened(row), style="" if well else "red"),
                f"{row.elapsed:.1f}",
                Text("✓", style="bold green") if well else Text("✗", style="bold red"),
            )
        self._console.print(table)

    def verdict(self, board: Board, logs: Path) -> None:
        """The last word: all well, or which scenario was not and where to look."""
        bad = [row for row in board.rows if not row.ended_well]
        if not bad:
            self.say("All five ended as they should; every step was committed once.", "bold green")
        for row in bad:
            self.say(f"{row.scenario.title} ({row.workflow_id}) did not end as it should.", "bold red")
        if bad:
            self.say(f"The logs of servers and services are in {logs}")


def _happened(row: Row) -> str:
    if row.problems is None:
        return "not finished"
    if row.problems:
        return "; ".join(row.problems)
    told = ", ".join(_count(name, count) for name, count in row.told.items())
    return f"{row.status.value}; pushed: {told}"


def _count(event: str, count: int) -> str:
    name = event.removeprefix("WORKFLOW_").removeprefix("STEP_").replace("_", " ").lower()
    return name if count == 1 else f"{name} ({count})"


def _picture(board: Board) -> Table:
    table = Table(title="Five workflows on RabbitMQ, Postgres and Redis", title_justify="left", expand=True)
    table.add_column("scenario", no_wrap=True)
    table.add_column("workflow", style="dim", no_wrap=True)
    table.add_column("step", no_wrap=True, min_width=16)
    table.add_column("status", no_wrap=True, min_width=10)
    table.add_column("retries", justify="right")
    table.add_column("last event", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("time", justify="right", no_wrap=True, min_width=6)
    for row in board.rows:
        table.add_row(
            row.scenario.title,
            str(row.workflow_id)[:8],
            row.step,
            Text(row.status.value, style=STYLES.get(row.status, "")),
            str(row.retries or ""),
            Text(row.note),
            f"{row.elapsed:.1f} s",
        )
    return table
