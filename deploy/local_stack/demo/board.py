"""What is known of the five workflows while they run; the loop writes it, the screen reads it."""

import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from ratchet.client import Notification, WorkflowView
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.events import EventType

from local_stack.demo.scenarios import Scenario


@dataclass(slots=True)
class Row:
    """One scenario's workflow as it was last seen."""

    scenario: Scenario
    workflow_id: UUID = field(default_factory=uuid4)
    status: WorkflowStatus = WorkflowStatus.NOT_STARTED
    step: str = ""
    retries: int = 0
    note: str = ""
    events: list[Notification] = field(default_factory=list)
    began: float | None = None
    ended: float | None = None
    problems: tuple[str, ...] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since it was started, up to its end."""
        if self.began is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.began

    @property
    def told(self) -> Counter[str]:
        """How often each event came."""
        return Counter(event.type for event in self.events)

    @property
    def ended_well(self) -> bool:
        """Whether the workflow ended as it should, as far as that was looked at."""
        return self.problems == ()

    def see(self, view: WorkflowView) -> None:
        """Take over what the API shows."""
        self.status = view.status
        self.step = view.current_step or ""
        self.retries = max(self.retries, view.retry_count)


@dataclass(slots=True)
class Board:
    """One row for each scenario."""

    rows: list[Row]

    def hear(self, event: Notification) -> Row | None:
        """Put an event into its row; answers the row, or None when it is about something else."""
        for row in self.rows:
            if str(row.workflow_id) == event.workflow_id:
                row.events.append(event)
                row.note = in_words(event)
                return row
        return None


def in_words(event: Notification) -> str:
    """An event in a few words."""
    data = event.data
    match event.type:
        case EventType.STEP_RETRYING:
            return f"retry {data['attempt']} of {data['maxAttempts']}: {_short(data['reason'])}"
        case EventType.STEP_FAILED:
            return str(data["message"])
        case EventType.STEP_SKIPPED:
            return f"{data['stepName']} was skipped"
        case EventType.RECOVERED:
            return f"recovered, goes on with {data['resumedStep']}"
        case EventType.COMPLETED:
            return "completed"
        case other:
            return other.removeprefix("WORKFLOW_").replace("_", " ").lower()


def _short(reason: str) -> str:
    return reason.partition(": ")[2] or reason
