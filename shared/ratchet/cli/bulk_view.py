"""One bulk recovery on the screen: a card, and the same again and again while it moves."""

from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ratchet.cli.screen import Screen
from ratchet.cli.tables import facts_grid
from ratchet.cli.upkeep_tables import bulk_state, filter_text
from ratchet.cli.wording import clock_time, plain
from ratchet.client import BulkRecovery

BAR_WIDTH = 50


def bulk_card(seen: BulkRecovery) -> RenderableType:
    """Heading, progress, what matters."""
    facts: list[tuple[str, RenderableType]] = [
        ("which", filter_text(seen.filter)),
        ("asked for", Text.assemble(clock_time(seen.requested_at), " by ", plain(seen.actor))),
        ("why", plain(seen.reason)),
        ("canaries", Text(f"{seen.canary} first" if seen.canary else "none")),
    ]
    if seen.finished_at is not None:
        facts.append(("ended", clock_time(seen.finished_at)))
    if seen.detail:
        facts.append(("because", plain(seen.detail, "red")))
    heading = Text.assemble(("Bulk recovery ", "bold"), str(seen.recovery_id), "  ", bulk_state(seen.state))
    return Group(heading, facts_grid(facts), _progress(seen), _counts(seen))


class BulkView:
    """Open it around the watching; `show` is given each look."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._live = Live(console=screen.console, refresh_per_second=4) if screen.is_live else None
        self._seen: BulkRecovery | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, seen: BulkRecovery) -> None:
        """Redraw it on a terminal; in a pipe a line for each change."""
        if self._live is not None:
            self._live.update(bulk_card(seen))
        elif seen != self._seen:
            line = Text.assemble(bulk_state(seen.state), "  ", _counts(seen))
            self._screen.item(seen.to_json(), line)
        self._seen = seen


def _progress(seen: BulkRecovery) -> RenderableType:
    settled = seen.verified + seen.relapsed + seen.failed + seen.skipped
    grid = Table.grid(padding=(0, 2))
    bar = ProgressBar(
        total=max(seen.total, 1),
        completed=settled,
        width=BAR_WIDTH,
        complete_style="green",
        finished_style="green",
    )
    grid.add_row(bar, Text(f"{settled} of {seen.total} settled"))
    return grid


def _counts(seen: BulkRecovery) -> Text:
    parts = (
        (seen.verified, "verified", "green"),
        (seen.relapsed, "relapsed", "bold red"),
        (seen.failed, "not recoverable", "red"),
        (seen.skipped, "left alone", "yellow"),
        (seen.open, "under way", "cyan"),
        (seen.pending, "waiting", "dim"),
    )
    return Text(" · ").join(Text(f"{count} {word}", style=style if count else "dim") for count, word, style in parts)
