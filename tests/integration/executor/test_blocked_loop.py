"""A step that blocks the event loop is named, and nobody else pays for it; one whose connection is cut goes on."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from local_stack.servers import RunningServers

from tests.harness.rabbitmqctl import is_ours, rabbitmqctl
from tests.integration.executor.processes import Site, until

RECOVERIES = "SELECT count(*) FROM recovery_attempts WHERE kind IN ('takeover', 'rescue')"
LEASE_LEFT = "SELECT min(extract(epoch FROM lease_until - clock_timestamp())) FROM workflow_instances"


@pytest.fixture
def broker(servers: RunningServers) -> RunningServers:
    if not is_ours(servers):
        pytest.skip("only a broker of our own may be told to cut connections")
    return servers


async def cut(broker: RunningServers) -> None:
    """As the broker does when no heartbeat comes from a blocked loop."""
    await asyncio.to_thread(rabbitmqctl, broker, "close_all_connections", "the loop is blocked")


async def test_leases_outlive_a_blocked_loop_and_nobody_is_taken_over(broker: RunningServers, site: Site) -> None:
    site.start("executor", LEASE="1s")
    innocent = await site.begin("lingering")
    await site.ran("linger")
    selfish = await site.begin("selfish")
    await site.ran("keep_the_loop")
    site.start("recovery", RECOVERY_STARTUP_DELAY="100ms", SCAN_INTERVAL="300ms")
    site.start("executor", LEASE="1s")
    await site.logs("executor-2", "executor.ready")
    await site.logs("executor-0", "loop.blocked")
    await cut(broker)
    # The messages are with the other executor now, which goes on asking for them.
    await passes(site, seconds=3)
    site.gate.touch()
    for workflow in (innocent, selfish):
        await site.reaches(workflow, "Completed")
    assert site.counted_effects() == {"linger": 1, "end": 1, "keep_the_loop": 1, "after_all": 1}
    assert await site.count(RECOVERIES) == 0
    log = (site.folder / "executor-0.log").read_text()
    blocked = next(line for line in log.splitlines() if '"loop.blocked"' in line)
    assert '"selfish"' in blocked
    assert "keep_the_loop (crash_workflows.py:" in blocked
    assert str(selfish) in blocked


async def test_a_step_that_never_gives_the_loop_back_fails_by_name_and_its_neighbours_go_elsewhere(site: Site) -> None:
    stuck = site.start("executor", LEASE="1s")
    innocent = await site.begin("lingering")
    await site.ran("linger")
    site.start("recovery")
    culprit = await site.begin("impossible")
    await site.ran("never_let_go")
    site.start("executor", LEASE="1s")
    await site.reaches(culprit, "Failed")
    reason = await failure_of(site, culprit)
    assert reason["failure_kind"] == "permanent"
    assert "step 'never_let_go' blocked the event loop for" in reason["failure_reason"]
    assert "never_let_go (crash_workflows.py:" in reason["failure_reason"]
    await site.died(stuck, code=70)
    site.gate.touch()
    await site.reaches(innocent, "Completed")
    assert await site.count(RECOVERIES) == 0, "handed back, not taken over"
    assert site.counted_effects() == {"linger": 2, "end": 1, "never_let_go": 1}


async def test_a_killed_executor_is_still_taken_over_at_once(site: Site) -> None:
    doomed = site.start("executor")
    workflow = await site.begin("lingering")
    await site.ran("linger")
    site.start("executor")
    await site.logs("executor-1", "executor.ready")
    doomed.send_signal(signal.SIGKILL)

    async def taken_over() -> bool:
        return site.counted_effects()["linger"] == 2

    await until("the other executor to take over", taken_over, seconds=5)
    site.gate.touch()
    await site.reaches(workflow, "Completed")
    assert await site.count(RECOVERIES) == 1


async def test_a_cut_connection_starts_nothing_again(broker: RunningServers, site: Site) -> None:
    site.start("executor")
    workflows = [await site.begin("lingering") for _ in range(5)]
    await all_ran(site, 5)
    site.start("executor")
    await site.logs("executor-1", "executor.ready")
    await cut(broker)
    await passes(site, seconds=1)
    site.gate.touch()
    for workflow in workflows:
        await site.reaches(workflow, "Completed")
    assert site.counted_effects() == {"linger": 5, "end": 5}
    assert await site.count(RECOVERIES) == 0


@pytest.fixture
def impatient(broker: RunningServers) -> Iterator[RunningServers]:
    """A broker that waits three seconds for an acknowledgement, not half an hour, and looks every second."""
    setting = "application:set_env(rabbit, {}, {})."
    rabbitmqctl(broker, "eval", setting.format("consumer_timeout", 3000))
    rabbitmqctl(broker, "eval", setting.format("channel_tick_interval", 1000))
    yield broker
    rabbitmqctl(broker, "eval", setting.format("consumer_timeout", 1800000))
    rabbitmqctl(broker, "eval", setting.format("channel_tick_interval", 60000))


@pytest.mark.usefixtures("impatient")
async def test_an_array_of_long_running_workflows_is_let_go_when_all_are_stored(site: Site) -> None:
    site.start("executor", PREFETCH="4")
    first = await site.begin("crashing")
    await site.reaches(first, "Completed")
    ids = [uuid4() for _ in range(12)]
    body = [{"workflowId": str(each), "definition": "patient", "ownerId": "sarah", "input": {}} for each in ids]
    await site.publish("workflow.start", body)

    async def all_run() -> bool:
        return site.counted_effects()["long_one"] == len(ids)

    await until("all members to run, though only four have a place at once", all_run)
    # Twice the broker's patience: with anything left unacknowledged it would close the channel by then.
    await passes(site, seconds=7)
    site.gate.touch()
    for workflow in ids:
        await site.reaches(workflow, "Completed")
    assert site.counted_effects()["long_one"] == len(ids)
    assert await site.count(RECOVERIES) == 0
    assert '"message.let_go"' not in (site.folder / "executor-0.log").read_text()


@pytest.mark.usefixtures("impatient")
async def test_a_step_that_outlasts_the_brokers_patience_is_run_once_and_so_are_its_neighbours(site: Site) -> None:
    site.start("executor")
    slow = [await site.begin("lingering") for _ in range(3)]
    await all_ran(site, 3)
    await site.logs("executor-0", "message.let_go")
    quick = await site.begin("crashing")
    await site.reaches(quick, "Completed")
    site.gate.touch()
    for workflow in slow:
        await site.reaches(workflow, "Completed")
    assert site.counted_effects() == {"linger": 3, "end": 3, "first": 1, "second": 1}
    assert await site.count(RECOVERIES) == 0


async def passes(site: Site, *, seconds: float) -> None:
    """Several leases go by, and all of them are kept."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        left = await site.connection.fetchval(LEASE_LEFT)
        assert left > 0, "a lease ran out"
        await asyncio.sleep(0.1)


async def all_ran(site: Site, count: int) -> None:
    async def counted() -> bool:
        return site.counted_effects()["linger"] == count

    await until("the steps to run", counted)


async def failure_of(site: Site, workflow: UUID) -> dict[str, Any]:
    row = await site.connection.fetchrow(
        "SELECT failure_kind, failure_reason FROM workflow_instances WHERE id = $1", workflow
    )
    return dict(row)
