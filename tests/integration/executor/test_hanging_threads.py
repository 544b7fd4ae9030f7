"""Plain functions that do not return: counted, named, and nothing new is taken in before they stop everything."""

import json
from typing import Any

import httpx2

from tests.integration.executor.processes import Site, until

HUNG = "2 threads hang in hanging.hang"


async def test_an_executor_with_too_many_hanging_threads_says_so_and_takes_nothing_new(site: Site) -> None:
    site.start("executor", PREFETCH="8")
    stuck = [await site.begin("hanging") for _ in range(2)]
    for workflow in stuck:
        await site.reaches(workflow, "Failed")
    await site.logs("executor-0", "intake.held")
    answer = await readiness(site, "executor-0")
    assert answer["checks"]["threads"] is False
    assert HUNG in answer["reasons"]["threads"]

    site.start("executor")
    done = await site.begin("blocking")
    await site.reaches(done, "Completed")
    assert "executor-1" in await executor_of(site, done)

    site.gate.touch()
    await site.logs("executor-0", "intake.resumed")
    answer = await readiness(site, "executor-0")
    assert answer["ready"], answer


async def readiness(site: Site, name: str) -> dict[str, Any]:
    """What an executor answers at `/readyz`."""

    async def port() -> int:
        lines = (site.folder / f"{name}.log").read_text().splitlines()
        return next((json.loads(line)["port"] for line in lines if '"service.starting"' in line), 0)

    async with httpx2.AsyncClient(trust_env=False) as http:
        answer: dict[str, Any] = (await http.get(f"http://127.0.0.1:{await until('a port', port)}/readyz")).json()
    return answer


async def executor_of(site: Site, workflow: Any) -> str:
    """Which of the started executors committed the workflow's only step."""
    name = await site.connection.fetchval("SELECT executor FROM checkpoints WHERE workflow_id = $1", workflow)
    process = next(number for number, process in enumerate(site.running) if f":{process.pid}:" in name)
    return f"executor-{process}"
