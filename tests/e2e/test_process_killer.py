"""A step that ends its own process is set aside as poison, and its neighbours do not suffer for it."""

from collections.abc import Callable, Iterator

import pytest

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform

NEIGHBOURS = 20
STARTS = 4


@pytest.fixture
def forgives(platform: Platform) -> Iterator[None]:
    """Afterwards the process manager has forgotten how often the executor died."""
    yield
    platform.restart_afresh("executor")


@pytest.mark.usefixtures("forgives")
def test_a_step_that_kills_its_process_ends_failed_as_poison_while_its_neighbours_complete(
    platform: Platform, sarah: Person, page: Listener, assert_all_completed_once: Callable[..., None]
) -> None:
    neighbours = [sarah.start("delivery", {"pace": 0.1}) for _ in range(NEIGHBOURS // 2)]
    trouble = {"book_carrier": {"kind": "kills its process", "times": -1}}
    killer = sarah.start("delivery", {"trouble": trouble, "pace": 0.1})
    neighbours += [sarah.start("delivery", {"pace": 0.1}) for _ in range(NEIGHBOURS // 2)]
    seen = sarah.wait_for_status(killer, "Failed", "Completed")
    assert (seen["status"], seen["failureKind"], seen["currentStep"]) == ("Failed", "poison", "book_carrier")
    assert seen["requiresManualIntervention"]
    assert len(platform.stage.executions(killer, "book_carrier")) == STARTS
    told = page.wait_for("WORKFLOW_STEP_FAILED", killer)["data"]
    assert told["message"] == "Step stopped its process repeatedly"
    assert_all_completed_once(neighbours, 5)
