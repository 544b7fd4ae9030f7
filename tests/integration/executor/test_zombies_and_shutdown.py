"""Executors that freeze, and executors that are asked to stop."""

import signal

from tests.integration.executor.processes import Site

TAKEOVERS = "SELECT count(*) FROM recovery_attempts WHERE kind = 'takeover'"


async def test_a_frozen_executor_that_wakes_up_cannot_commit(site: Site) -> None:
    # With one slot, and that one taken, the broker gives the frozen process nothing else.
    zombie = site.start("executor", LEASE="1s", PREFETCH="1")
    workflow = await site.begin("lingering")

    await site.ran("linger")
    zombie.send_signal(signal.SIGSTOP)
    # The broker has not noticed yet; the lease is what runs out. The scan takes the workflow away.
    site.start("recovery", RECOVERY_STARTUP_DELAY="1500ms", SCAN_INTERVAL="500ms")
    site.start("executor", LEASE="1s")
    site.gate.touch()
    await site.reaches(workflow, "Completed")
    zombie.send_signal(signal.SIGCONT)
    second = await site.begin("crashing")
    await site.reaches(second, "Completed")
    assert await site.count("SELECT count(*) FROM checkpoints") == 4
    assert site.counted_effects()["end"] == 1, "the zombie did not go on to the next step"


async def test_an_executor_that_is_asked_to_stop_lets_its_step_finish_and_hands_the_rest_over(site: Site) -> None:
    stopping = site.start("executor")
    workflow = await site.begin("lingering")

    await site.ran("linger")
    stopping.send_signal(signal.SIGTERM)
    await site.logs("executor-0", "executor.draining")
    site.gate.touch()
    await site.died(stopping, code=0)
    assert await site.count("SELECT count(*) FROM checkpoints") == 1, "the running step was committed"
    assert await site.status(workflow) == "InProgress"
    site.start("executor")
    await site.reaches(workflow, "Completed")
    assert await site.count(TAKEOVERS) == 0, "a graceful hand-back is no takeover"
    assert site.counted_effects() == {"linger": 1, "end": 1}


async def test_a_step_that_outlasts_the_grace_period_is_given_back_and_run_again(site: Site) -> None:
    stopping = site.start("executor", SHUTDOWN_GRACE="200ms")
    workflow = await site.begin("lingering")

    await site.ran("linger")
    stopping.send_signal(signal.SIGTERM)
    await site.died(stopping, code=0)
    assert await site.status(workflow) == "InProgress"
    site.gate.touch()
    site.start("executor")
    await site.reaches(workflow, "Completed")
    assert await site.count(TAKEOVERS) == 0
    assert site.counted_effects() == {"linger": 2, "end": 1}
