"""One fact in one place: queue names, event types, statuses."""

import ast
import re
from pathlib import Path

from ratchet.adapters.postgres.locks import Lock
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


def test_no_service_has_a_background_task_that_nobody_watches() -> None:
    """They are kept by `ratchet.background`; only what somebody waits for may be a task of its own."""
    for app in (PROJECT / "services").rglob("app.py"):
        assert "create_task" not in app.read_text(), app


def test_no_two_advisory_locks_have_one_number() -> None:
    assert len({lock.value for lock in Lock.__members__.values()}) == len(Lock.__members__)


def test_advisory_locks_are_taken_by_the_name_that_the_enumeration_gives_them() -> None:
    """A number written into a question could be another lock's: `locks.py` asks, or a question with a parameter."""
    asked = [(path, line) for path in PRODUCT for line in path.read_text().splitlines() if "pg_" in line]
    asked = [(path.name, line) for path, line in asked if re.search(r"pg_(try_)?advisory_\w*lock\w*\(", line)]
    assert {name for name, _ in asked} == {"locks.py", "migrate.py"}
    assert [
        line for _, line in asked if not re.search(r"advisory_\w+\((\$1|:lock)(::int, hashtext\(\$2\))?\)", line)
    ] == []
