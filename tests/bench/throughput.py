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

    @property
    def cpu_ms(self) -> float:
        """CPU a workflow of the executors and both servers."""
        return 1000 * (self.executor_cpu + self.postgres_cpu + self.rabbitmq_cpu) / self.workflows


OURS = "owner_id = 'bench'"
SPAN = f"SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM workflow_instances WHERE {OURS}"
DONE = f"SELECT count(*) FROM workflow_instances WHERE status = 'Completed' AND {OURS}"
UNEVEN = f"""
SELECT count(*) FROM workflow_instances w WHERE {OURS} AND {STEPS} <>
    (SELECT count(DISTINCT (seq, step_index)) FROM checkpoints c WHERE c.workflow_id = w.id)
"""
CHECKPOINTS = f"SELECT count(*) FROM checkpoints c JOIN workflow_instances w ON w.id = c.workflow_id WHERE {OURS}"

OLD_WORKFLOWS = """
INSERT INTO workflow_instances (id, definition, version, owner_id, status, input, content_hash, correlation_id,
    command_id, current_step_index, checkpoint_seq, last_seq, created_at, updated_at, finished_at)
SELECT gen_random_uuid(), 'bench-plain', 1, 'owner-' || n % 1000, 'Completed', '{"order": "old"}', '', 'c',
    'm', 5, 1, 1, past.at, past.at, past.at
FROM generate_series(1, $1::int) AS n, LATERAL (SELECT now() - n * interval '1 minute' AS at) AS past
"""
OLD_CHECKPOINTS = """
INSERT INTO checkpoints (workflow_id, seq, step_index, step_id, attempt, state, checksum)
SELECT id, 1, 4, 'step_4', 1, '{"order": "old"}', '' FROM workflow_instances
"""


def measure(
    servers: RunningServers,
    definition: str,
    workflows: int,
    *,
    bulk: int = 0,
    executors: int = 1,
    old_rows: int = 0,
    **settings: str,
) -> Throughput:
    """Start, publish, wait, and verify from the tables that every step was committed once.

    `old_rows` finished workflows of earlier times, with their checkpoints, are put into the tables first.
    """
    with clean_stage(servers) as stage:
        if old_rows:
            asyncio.run(_fill(stage, old_rows))
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


async def _fill(stage: Stage, old_rows: int) -> None:
    connection = await asyncpg.connect(stage.database_url)
    try:
        await connection.execute(OLD_WORKFLOWS, old_rows)
        await connection.execute(OLD_CHECKPOINTS)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _cpu(stage: Stage) -> tuple[float, float, float]:
    return (
        sum(executor.cpu_seconds for executor in stage.executors),
        cpu_seconds_below(stage.servers["postgres"].pid or 0),
        cpu_seconds_below(stage.servers["rabbitmq"].pid or 0),
    )
