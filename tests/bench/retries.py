"""How exactly retries keep their time: a retry after 1 s, beside 200 workflows/s; late and early in milliseconds."""

import asyncio
from dataclasses import dataclass

import asyncpg
from local_stack.servers import RunningServers
from ratchet.domain.retry import JITTER

from tests.bench.stage import clean_stage, wait_for
from tests.bench.throughput import DONE, ask

DELAY_MS = 1000.0
LOAD_RATE = 200
"""Other workflows a second: load, but no backlog, behind which a retry would have to wait like everybody else."""

# `next_attempt_at` is when the retry is due after its jitter; the delay counts from the attempt that failed.
TIMES = """
SELECT extract(epoch FROM c.started_at - a.next_attempt_at) * 1000 AS late,
    extract(epoch FROM c.started_at - a.finished_at) * 1000 AS waited
FROM step_attempts a JOIN checkpoints c USING (workflow_id) WHERE a.step_id = 'fails_once'
"""


@dataclass(frozen=True)
class Retries:
    """Milliseconds: how long retries waited, and how much later they came than their own jittered due time.

    A message with a shorter jitter waits in its queue behind one with a longer, so the delay, not the due time, is the
    promise: at most the delay, at least the delay less its jitter.
    """

    retries: int
    waited_p50: float
    waited_p99: float
    shortest_wait: float
    after_due_p99: float

    @property
    def late_p99(self) -> float:
        """How much longer than the delay."""
        return max(0.0, self.waited_p99 - DELAY_MS)


def measure(servers: RunningServers, retries: int, load: int) -> Retries:
    """`retries` workflows that fail once, beside `load` others, both spread over the same time."""
    with clean_stage(servers) as stage:
        stage.start_executor()
        others = stage.start_publisher("bench-plain", str(load), "0", str(LOAD_RATE))
        failing = stage.start_publisher("bench-delayed", str(retries), "0", str(LOAD_RATE * retries / load))
        wait_for(lambda: ask(stage, DONE) == retries + load, "all to complete", seconds=120, every=0.5)
        others.wait()
        failing.wait()
        rows = asyncio.run(_times(stage.database_url))
        after_due, waited = sorted(row[0] for row in rows), sorted(row[1] for row in rows)
        assert len(rows) == retries
        assert waited[0] >= DELAY_MS * (1 - JITTER) - 20, "never earlier than the jitter allows"
        p99 = int(retries * 0.99) - 1
        return Retries(retries, waited[retries // 2], waited[p99], waited[0], after_due[p99])


async def _times(database_url: str) -> list[tuple[float, float]]:
    connection = await asyncpg.connect(database_url)
    try:
        return [(float(row["late"]), float(row["waited"])) for row in await connection.fetch(TIMES)]
    finally:
        await connection.close()
