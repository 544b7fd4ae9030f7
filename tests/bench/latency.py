"""End-to-end time of a chain at light load: 20 workflows a second, from the publish to the last commit."""

import asyncio
from dataclasses import dataclass

import asyncpg
from local_stack.servers import RunningServers

from tests.bench.stage import Stage, clean_stage, wait_for
from tests.bench.throughput import verify

RATE = 20


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    workflows: int
    p50: float
    p95: float
    p99: float


# Publisher and database run on one machine, so their clocks are the same.
TIMES = """
SELECT extract(epoch FROM finished_at) AS ended, (input ->> 'publishedAt')::float AS published FROM workflow_instances
"""


def measure(servers: RunningServers, seconds: int = 20) -> Latency:
    """One executor, 20 workflows a second; from the moment before the publish to the last commit."""
    workflows = RATE * seconds
    with clean_stage(servers) as stage:
        executor = stage.start_executor()
        publisher = stage.start_publisher("bench-plain", str(workflows), "0", str(RATE))

        def finished() -> bool:
            done = executor.metric('ratchet_workflows_finished_total{status="Completed"}')
            return publisher.poll() is not None and done >= workflows

        wait_for(finished, f"{workflows} workflows to complete", seconds=seconds + 60, every=0.5)
        verify(stage, workflows)
        times = sorted(asyncio.run(_milliseconds(stage)))
        return Latency(workflows, *(times[int(len(times) * share) - 1] for share in (0.5, 0.95, 0.99)))


async def _milliseconds(stage: Stage) -> list[float]:
    connection = await asyncpg.connect(stage.database_url)
    try:
        return [(float(row["ended"]) - row["published"]) * 1000 for row in await connection.fetch(TIMES)]
    finally:
        await connection.close()
