"""Small pieces of text: statuses in their colours, times as people say them, nothing that could steer the terminal."""

from datetime import UTC, datetime, timedelta

from rich.text import Text

from ratchet.domain.failure import sanitise
from ratchet.domain.workflow import WorkflowStatus

STYLES: dict[WorkflowStatus, str] = {
    WorkflowStatus.NOT_STARTED: "dim",
    WorkflowStatus.IN_PROGRESS: "cyan",
    WorkflowStatus.EXECUTING: "bold cyan",
    WorkflowStatus.PAUSED: "yellow",
    WorkflowStatus.COMPLETED: "bold green",
    WorkflowStatus.FAILED: "bold red",
    WorkflowStatus.CANCELLED: "magenta",
}


def plain(value: object, style: str = "") -> Text:
    """What a server said, on one line and without control characters; a dash for nothing."""
    return Text("-" if value is None or value == "" else sanitise(str(value)), style=style)


def status_text(status: WorkflowStatus) -> Text:
    """A status in its colour."""
    return Text(status.value, style=STYLES[status])


def clock_time(instant: datetime | None) -> Text:
    """An instant as local date and time."""
    return plain(None if instant is None else instant.astimezone().strftime("%Y-%m-%d %H:%M:%S"))


def ago(instant: datetime | None, now: datetime | None = None) -> Text:
    """How long ago an instant was, in its largest unit."""
    if instant is None:
        return plain(None)
    return Text(f"{span((now or datetime.now(UTC)) - instant)} ago")


def span(duration: timedelta) -> str:
    """A duration in its largest unit: 45s, 12m, 3h, 9d."""
    seconds = max(0, int(duration.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def printable(text: str, style: str = "") -> Text:
    """Text of several lines without anything that could steer the terminal: that is shown escaped."""
    shown = (char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text)
    return Text("".join(shown), style=style)
