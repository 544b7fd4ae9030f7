"""After two crashes nobody is known to be innocent; they are told apart without making everybody wait."""

import asyncio
import signal

from tests.integration.executor.processes import Site, until

SUSPECTS = 12
ONE_AFTER_THE_OTHER = SUSPECTS * 5 * 0.5


async def test_suspects_go_on_together_once_their_first_step_is_committed(site: Site) -> None:
    first = site.start("executor")
    workflows = [await site.begin("pacing") for _ in range(SUSPECTS)]
    await began(site, SUSPECTS)
    first.send_signal(signal.SIGKILL)
    second = site.start("executor")
    await began(site, 2 * SUSPECTS)
    second.send_signal(signal.SIGKILL)
    site.gate.touch()
    site.start("executor")
    await site.logs("executor-2", "executor.ready")
    began_at = asyncio.get_running_loop().time()
    for workflow in workflows:
        await site.reaches(workflow, "Completed")
    took = asyncio.get_running_loop().time() - began_at
    assert took < ONE_AFTER_THE_OTHER / 2, "three rounds of a first step, and then all of them at once"
    assert await site.count("SELECT max(recoveries_since_progress) FROM workflow_instances") == 0


async def began(site: Site, count: int) -> None:
    """So often the first step was begun, and none has been committed."""

    async def counted() -> bool:
        return site.counted_effects()["pace_0"] >= count

    await until("the first steps to begin", counted)
