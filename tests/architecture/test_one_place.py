"""One fact in one place: queue names, event types, statuses."""

import ast
from pathlib import Path

from ratchet.domain.workflow import TRANSITIONS, WorkflowStatus
from ratchet.messages import routes
from ratchet.messages.events import EventType

PROJECT = Path(__file__).parent.parent.parent
PRODUCT = [*(PROJECT / "shared").rglob("*.py"), *(PROJECT / "services").rglob("*.py")]


def where(value: str) -> set[str]:
    """The files with exactly this string in their code (docstrings may mention it)."""
    return {
        str(path.relative_to(PROJECT))
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == value
    }


def test_each_queue_and_exchange_is_named_in_one_file() -> None:
    for name in (routes.COMMANDS, routes.EVENTS, routes.DEAD, routes.RECOVERY_COMMANDS, routes.RECOVERY_DEAD_LETTERS):
        assert where(name) == {"shared/ratchet/messages/routes.py"}


def test_each_event_type_is_spelled_in_one_file() -> None:
    for event_type in EventType:
        assert where(event_type.value) == {"shared/ratchet/messages/events.py"}


def test_every_status_has_its_row_in_the_transition_table() -> None:
    assert set(TRANSITIONS) == set(WorkflowStatus)
