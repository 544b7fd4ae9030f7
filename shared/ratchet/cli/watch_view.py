"""One workflow on the screen while it moves: redrawn on a terminal, a line for each change in a pipe."""

from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ratchet.cli.event_lines import summary
from ratchet.cli.next_steps import next_steps
from ratchet.cli.screen import Screen
from ratchet.cli.tables import workflow_card
from ratchet.cli.wording import plain, status_text
from ratchet.client.results import EventView, History, WorkflowView

SHOWN_EVENTS = 6

CLOCK_TOLERANCE = timedelta(seconds=1)
"""The server's clock may be a little behind."""


class WatchView:
    """Open it around the watching; `show` is given each look at the workflow."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._live = Live(console=screen.console, refresh_per_second=8) if screen.is_live else None
        self._seen: WorkflowView | None = None
        self._told: int | None = None
        self._since = datetime.now(UTC) - CLOCK_TOLERANCE

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, view: WorkflowView, history: History) -> None:
        """Show what is new."""
        if self._live is not None:
            self._live.update(_picture(view, history))
        elif view != self._seen:
            self._tell(view, history)
        self._seen = view

    def _tell(self, view: WorkflowView, history: History) -> None:
        if self._screen.as_json:
            self._screen.item(view.to_json(), Text())
            return
        for event in history.events[self._known(history) :]:
            self._screen.line(_event(event))
        self._told = len(history.events)
        where = Text.assemble(" at ", plain(view.current_step, "bold")) if view.current_step else Text()
        self._screen.line(Text.assemble(status_text(view.status), where))
        for line in next_steps(view) if view.has_ended else []:
            self._screen.line(line)

    def _known(self, history: History) -> int:
        """How many events need not be told: those told already, at first those from before the watching."""
        if self._told is not None:
            return self._told
        return sum(event.time is not None and event.time < self._since for event in history.events)


def _picture(view: WorkflowView, history: History) -> RenderableType:
    events = [_event(event) for event in history.events[-SHOWN_EVENTS:]]
    return Group(
        workflow_card(view, history.attempts, moving=not view.has_ended),
        *events,
        *(next_steps(view) if view.has_ended else []),
    )


def _event(event: EventView) -> Text:
    time = event.time.astimezone().strftime("%H:%M:%S") if event.time else ""
    name = event.type.removeprefix("WORKFLOW_").replace("_", " ").lower()
    return Text.assemble((f"{time}  ", "dim"), plain(name), "  ", summary(event.type, event.data))
