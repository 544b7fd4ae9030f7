"""W1 and W2: how many workflows a second, from the first publish to the last commit, publisher included."""

import asyncio
from dataclasses import dataclass

import asyncpg
from chains import STEPS
from local_stack.servers import RunningServers

from tests.bench.stage import Stage, clean_stage, cpu_seconds_below, wait_for


@dataclass(frozen=True)
class Throughput:
    """One run."""

    definition: str
    workflows: int
    bulk: int
    executors: int
    seconds: float
    executor_cpu: float
    postgres_cpu: float
    rabbitmq_cpu: float
    peak_mib: float
    batch: float

    @property
    def rate(self) -> float:
        """Workflows a second."""
        return self.workflows / self.seconds


SPAN = "SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM workflow_instances"
OPEN = "SELECT count(*) FROM workflow_instances WHERE status <> 'Completed'"
DONE = "SELECT count(*) FROM workflow_instances WHERE status = 'Completed'"
UNEVEN = f"""
SELECT count(*) FROM workflow_instances w WHERE {STEPS} <>
    (SELECT count(DISTINCT (seq, step_index)) FROM checkpoints c WHERE c.workflow_id = w.id)
"""
CHECKPOINTS = "SELECT count(*) FROM checkpoints"


def measure(
    servers: RunningServers, definition: str, workflows: int, *, bulk: int = 0, executors: int = 1, **settings: str
) -> Throughput:
    """Start, publish, wait, and verify from the tables that every step was committed once."""
    with clean_stage(servers) as stage:
        for _ in range(executors):
            stage.start_executor(**settings)
        before = _cpu(stage)
        peak = 0.0
        publisher = stage.start_publisher(definition, str(workflows), str(bulk))

        def finished() -> bool:
            nonlocal peak
            peak = max(peak, *(executor.resident_mib for executor in stage.executors))
            done = sum(
                executor.metric('ratchet_workflows_finished_total{status="Completed"}') for executor in stage.executors
            )
            return publisher.poll() is not None and done >= workflows

        # Asking the executors now and then, and not the database, keeps the looking out of what is looked at.
        wait_for(finished, f"{workflows} workflows to complete", seconds=300, every=0.2)
        assert publisher.returncode == 0
        after = _cpu(stage)
        seconds = float(ask(stage, SPAN))
        verify(stage, workflows)
        batches = sum(executor.metric("ratchet_commit_batch_size_count") for executor in stage.executors)
        used = [now - then for now, then in zip(after, before, strict=True)]
        return Throughput(
            definition, workflows, bulk, executors, seconds, *used, peak, workflows * STEPS / max(batches, 1)
        )


def verify(stage: Stage, workflows: int) -> None:
    """Each workflow completed, each of its steps committed exactly once."""
    assert ask(stage, DONE) == workflows
    assert ask(stage, CHECKPOINTS) == workflows * STEPS
    assert ask(stage, UNEVEN) == 0


def ask(stage: Stage, query: str) -> float:
    """One number from the stage's database."""

    async def fetch() -> float:
        connection = await asyncpg.connect(stage.database_url)
        try:
            return float(await connection.fetchval(query) or 0)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def _cpu(stage: Stage) -> tuple[float, float, float]:
    return (
        sum(executor.cpu_seconds for executor in stage.executors),
        cpu_seconds_below(stage.servers["postgres"].pid or 0),
        cpu_seconds_below(stage.servers["rabbitmq"].pid or 0),
    )
