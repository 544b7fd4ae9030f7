"""A client whose notifier dies comes back with its cursor and has every event once."""

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform

WORKFLOWS = 15
EVENTS_OF_EACH = 3
TROUBLE = {"trouble": {"book_carrier": {"kind": "transient", "times": 2}}}


def test_a_client_resumes_by_its_cursor_after_a_crash_without_a_gap_and_without_doubles(
    platform: Platform, sarah: Person, page: Listener
) -> None:
    before = [sarah.start("delivery", TROUBLE) for _ in range(WORKFLOWS)]
    page.wait(lambda: len(page.ids) >= WORKFLOWS, what="some of the events")
    platform.crash("notifier")
    while_it_is_dead = [sarah.start("delivery", TROUBLE) for _ in range(WORKFLOWS)]
    platform.start("notifier")
    after = [sarah.start("delivery", TROUBLE) for _ in range(WORKFLOWS)]
    workflows = [*before, *while_it_is_dead, *after]
    total = len(workflows) * EVENTS_OF_EACH
    page.wait(lambda: len(page.ids) >= total, what=f"{total} events")
    assert page.connections == 2
    assert page.ids == list(range(1, total + 1))
    for workflow_id in workflows:
        assert sorted(page.types(workflow_id)) == [
            "WORKFLOW_COMPLETED",
            "WORKFLOW_STEP_RETRYING",
            "WORKFLOW_STEP_RETRYING",
        ]
