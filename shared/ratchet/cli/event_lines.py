"""An event on one line."""

from rich.text import Text

from ratchet.cli.wording import plain
from ratchet.client.notifications import Notification
from ratchet.messages.events import EventType

STYLES: dict[str, str] = {
    EventType.STEP_RETRYING: "yellow",
    EventType.STEP_FAILED: "bold red",
    EventType.STEP_SKIPPED: "yellow",
    EventType.RECOVERED: "green",
    EventType.RECOVERY_FAILED: "bold red",
    EventType.RECOVERY_VERIFIED: "bold green",
    EventType.RECOVERY_RELAPSED: "bold red",
    EventType.NEEDS_ATTENTION: "bold yellow",
    EventType.COMPLETED: "bold green",
    EventType.CANCELLED: "magenta",
}


NAME_WIDTH = len("RECOVERY_VERIFIED")


def event_line(event: Notification) -> Text:
    """Number, time, what, which workflow, and what there is to say about it."""
    name = plain(event.type.removeprefix("WORKFLOW_"), STYLES.get(event.type, "cyan"))
    name.pad_right(max(0, NAME_WIDTH - len(name)))
    return Text.assemble(
        (f"{event.id:>6}  ", "dim"),
        event.time.astimezone().strftime("%H:%M:%S"),
        "  ",
        name,
        "  ",
        plain(event.workflow_id, "dim"),
        "  ",
        summary(event.type, event.data),
    )


def summary(kind: str, data: dict[str, object]) -> Text:
    """What an event says beyond its name, in a few words."""
    parts: list[Text] = []
    if data.get("stepName"):
        parts.append(plain(data["stepName"], "bold"))
    if kind == EventType.STEP_RETRYING:
        parts.append(plain(f"attempt {data.get('attempt')} of {data.get('maxAttempts')}"))
    if data.get("resumedStep"):
        parts.append(plain(f"goes on at {data['resumedStep']}"))
    if data.get("reason"):
        parts.append(plain(data["reason"]))
    return Text(" · ").join(parts)
