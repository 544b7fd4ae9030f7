"""The only executor is killed with 200 workflows in flight, and a new one is started a second later."""

import asyncio
import time
from dataclasses import dataclass

import asyncpg
from chains import STEPS
from local_stack.servers import RunningServers

from tests.bench.stage import clean_stage, wait_for
from tests.bench.throughput import ask, verify

IN_FLIGHT = 200
PAUSE = 1.0

HALF_WAY = "SELECT count(*) FROM checkpoints"


@dataclass(frozen=True)
class Killed:
    """Seconds from the kill to the last commit; `takeovers` says how many workflows the dead one held."""

    seconds: float
    takeovers: int
    committed_twice: int


def measure(servers: RunningServers) -> Killed:
    """200 workflows of five steps of 50 ms each."""
    with clean_stage(servers) as stage:
        victim = stage.start_executor()
        publisher = stage.start_publisher("bench-slow", str(IN_FLIGHT), "0")
        wait_for(lambda: ask(stage, HALF_WAY) >= IN_FLIGHT, "the workflows to be under way")
        killed_at = time.time()
        victim.process.kill()
        victim.process.wait()
        stage.executors.clear()
        time.sleep(PAUSE)
        publisher.wait()
        heir = stage.start_executor()
        done = 'ratchet_workflows_finished_total{status="Completed"}'
        already = ask(stage, "SELECT count(*) FROM workflow_instances WHERE status = 'Completed'")
        wait_for(
            lambda: ask(stage, "SELECT count(*) FROM workflow_instances WHERE status = 'Completed'") == IN_FLIGHT,
            f"all to complete ({already} were; the heir says {heir.metric(done)})",
        )
        verify(stage, IN_FLIGHT)
        ended_at = asyncio.run(_last(stage.database_url))
        takeovers = int(ask(stage, "SELECT count(*) FROM recovery_attempts WHERE kind = 'takeover'"))
        twice = int(ask(stage, "SELECT count(*) FROM checkpoints")) - IN_FLIGHT * STEPS
        return Killed(ended_at - killed_at, takeovers, twice)


async def _last(database_url: str) -> float:
    connection = await asyncpg.connect(database_url)
    try:
        query = "SELECT extract(epoch FROM max(finished_at)) FROM workflow_instances"
        return float(await connection.fetchval(query))
    finally:
        await connection.close()
