"""The broker runs out of memory: publishing stops, and everything else goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable

import psutil
import pytest
from local_stack.servers import RunningServers

from tests.harness.rabbitmqctl import is_ours, rabbitmqctl
from tests.integration.executor.processes import Site, until

MIB = 1024 * 1024


@pytest.fixture
async def alarm(servers: RunningServers) -> AsyncIterator[Callable[[bool], None]]:
    """Switches the broker's memory alarm; it is off again after the test."""
    if not is_ours(servers):
        pytest.skip("the broker was named by URL or runs in a container: its limits are not ours to change")

    def switch(on: bool) -> None:
        rabbitmqctl(servers, "set_vm_memory_high_watermark", "0.00001" if on else "0.6")

    yield switch
    await asyncio.to_thread(switch, False)


async def test_steps_are_committed_and_acknowledged_during_an_alarm_and_told_after_it(
    site: Site, alarm: Callable[[bool], None]
) -> None:
    executor = site.start("executor")
    site.start("recovery")
    workflows = [await site.begin("lingering") for _ in range(20)]

    async def all_running() -> bool:
        return site.counted_effects()["linger"] == len(workflows)

    await until("all steps to run", all_running)
    before = psutil.Process(executor.pid).memory_info().rss
    await asyncio.to_thread(alarm, True)
    site.gate.touch()
    for workflow in workflows:
        await site.reaches(workflow, "Completed")
    assert await site.count("SELECT count(*) FROM outbox") == len(workflows), "the events wait where they are safe"
    assert psutil.Process(executor.pid).memory_info().rss < before + 30 * MIB
    await asyncio.to_thread(alarm, False)
    await site.outbox_drains(seconds=30)
    assert await site.count("SELECT count(*) FROM step_attempts") == 0, "an alarm is no attempt"
