"""An executor may die anywhere: nothing is lost and nothing is committed twice. The scan is off in all of these."""

from pathlib import Path

import pytest
from ratchet.crash_points import KILLED, CrashPoint

from tests.integration.executor.processes import Site

STEPS_COMMITTED = "SELECT count(*) FROM checkpoints"
TAKEOVERS = "SELECT count(*) FROM recovery_attempts WHERE kind = 'takeover'"
RESCUES = "SELECT count(*) FROM recovery_attempts WHERE kind = 'rescue'"


async def test_what_was_committed_but_not_published_is_published_by_the_relay(site: Site) -> None:
    doomed = site.start("executor", CRASH_AT="after-failure-commit:1")
    workflow = await site.begin("crashing", fails=True)
    await site.died(doomed, code=KILLED)
    assert await site.count("SELECT count(*) FROM outbox") == 2, "the retry's command and its event"
    site.start("recovery")
    site.start("executor")
    await site.reaches(workflow, "Completed")
    await site.outbox_drains()
    assert await site.count(RESCUES) == 0, "the relay alone was enough"
    assert site.counted_effects() == {"first": 2, "second": 1}


async def test_a_hand_over_that_was_not_published_reaches_the_other_pool(site: Site) -> None:
    doomed = site.start("executor", CRASH_AT="after-commit:1")
    workflow = await site.begin("elsewhere")
    await site.died(doomed, code=KILLED)
    site.start("recovery")
    site.start("executor", POOLS="default,other")
    await site.reaches(workflow, "Completed")
    assert site.counted_effects() == {"here": 1, "there": 1}
    assert await site.count(STEPS_COMMITTED) == 2


async def test_a_message_published_twice_is_stale_the_second_time(site: Site) -> None:
    """Dies between the confirm and the removal from the outbox: the relay publishes the same message again."""
    doomed = site.start("executor", CRASH_AT="after-publish:1")
    workflow = await site.begin("elsewhere")
    await site.died(doomed, code=KILLED)
    site.start("recovery")
    await site.outbox_drains(seconds=10)
    site.start("executor", POOLS="default,other")
    await site.reaches(workflow, "Completed")
    assert site.counted_effects() == {"here": 1, "there": 1}
    assert await site.count(STEPS_COMMITTED) == 2


async def test_a_redelivery_after_the_last_commit_does_nothing(site: Site) -> None:
    doomed = site.start("executor", CRASH_AT="before-settle:1")
    workflow = await site.begin("crashing")
    await site.died(doomed, code=KILLED)
    assert await site.status(workflow) == "Completed"
    site.start("executor")
    marker = await site.begin("crashing")
    await site.reaches(marker, "Completed")
    assert site.counted_effects() == {"first": 2, "second": 2}, "each workflow's steps ran once"
    assert await site.count(TAKEOVERS) == 0


@pytest.mark.parametrize("point", [CrashPoint.AFTER_CLAIM, CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT])
async def test_whoever_dies_holding_a_workflow_is_replaced_at_once(site: Site, point: CrashPoint) -> None:
    doomed = site.start("executor", CRASH_AT=f"{point}:1")
    workflow = await site.begin("crashing")
    await site.died(doomed, code=KILLED)
    assert await site.status(workflow) == "Executing"
    site.start("executor")
    await site.reaches(workflow, "Completed", seconds=15)
    assert await site.count(STEPS_COMMITTED) == 2
    assert await site.count(TAKEOVERS) == 1, "a takeover is a recovery, and recorded as one"
    assert await site.count("SELECT count(*) FROM audit_log WHERE action = 'takeover'") == 1
    assert await site.count("SELECT count(*) FROM step_attempts") == 0, "a crash is no attempt"


def test_every_crash_point_is_used_by_a_test() -> None:
    source = Path(__file__).read_text()
    unused = [point for point in CrashPoint if f"{point}:" not in source and f"CrashPoint.{point.name}" not in source]
    assert unused == []
