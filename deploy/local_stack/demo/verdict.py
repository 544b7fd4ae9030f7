"""Did a workflow end as it should? Judged by its history, by the events that were pushed, and by the outside world."""

from collections import Counter

from ratchet.client import History
from ratchet.domain.workflow import WorkflowStatus

from local_stack.demo.board import Row


def problems_of(row: Row, history: History, bookings: dict[str, int]) -> tuple[str, ...]:
    """Everything that is not as it should be, in words; empty when all is well."""
    scenario = row.scenario
    committed = tuple(checkpoint.step_id for checkpoint in history.checkpoints)
    skipped = {checkpoint.step_id for checkpoint in history.checkpoints if checkpoint.skipped}
    failed = sum(attempt.outcome == "failed" for attempt in history.attempts)
    found = [
        _differs("status", row.status.value, WorkflowStatus.COMPLETED.value),
        _differs("committed steps", committed, scenario.steps),
        _differs("skipped steps", skipped, set(scenario.skipped)),
        _differs("failed attempts", failed, scenario.failed_attempts),
        _differs("events pushed", dict(row.told), dict(scenario.events)),
        _differs("positions pushed twice", _repeated(row), []),
        _differs("done in the outside world", bookings, dict.fromkeys(scenario.bookings, 1)),
    ]
    return tuple(problem for problem in found if problem)


def _repeated(row: Row) -> list[int]:
    """Positions in the feed that came more than once."""
    return [position for position, count in Counter(event.id for event in row.events).items() if count > 1]


def _differs(what: str, seen: object, expected: object) -> str:
    return "" if seen == expected else f"{what}: {seen} instead of {expected}"
