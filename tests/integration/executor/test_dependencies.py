"""A dependency goes down: its steps are held back without losing their retries, and let go when it is up again."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime

import pytest
from executor.heed_dependencies import Go, HeedDependencies, Hold
from executor.run_step import Failed
from prometheus_client import CollectorRegistry
from ratchet.adapters.redis.connection import Redis, connect
from ratchet.adapters.redis.dependencies import SharedDependencies
from ratchet.domain.definition import StepDefinition
from ratchet.domain.dependency import MINIMUM, SHORT_HOLD, Dependency, DependencyState, Outcomes, learn
from ratchet.domain.failure import Failure
from ratchet.domain.workflow import FailureKind
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.service import end_task

from tests.integration.executor.processes import Site, until

STEP = StepDefinition("mail", depends_on="smtp")
WORKFLOWS = 40
OUTAGE = Failure(FailureKind.TRANSIENT, "TimeoutError", "no answer")

NewExecutor = Callable[[], HeedDependencies]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An emptied Valkey."""
    client = connect(redis_url, name="test")
    yield client
    await client.aclose()


@pytest.fixture
async def another(redis: Redis) -> AsyncIterator[NewExecutor]:
    """Makes what an executor has of this; each keeps itself informed until the test ends."""
    async with AsyncExitStack() as stack:

        def start() -> HeedDependencies:
            registry = CollectorRegistry()
            heeds = HeedDependencies(SharedDependencies(redis), ["smtp"], ExecutorMetrics(registry))
            stack.push_async_callback(end_task, asyncio.create_task(heeds.keep()))
            return heeds

        yield start


async def test_when_a_dependency_is_down_nobody_loses_retries_and_all_go_on_when_it_is_up(site: Site) -> None:
    site.start("executor")
    site.start("executor")
    workflows = [await site.begin("relying") for _ in range(WORKFLOWS)]

    async def outlasts_all_retries() -> bool:
        last = "SELECT count(*) FROM step_attempts HAVING max(finished_at) < clock_timestamp() - interval '4 seconds'"
        return await site.connection.fetchval(last) is not None

    async def probe_failed() -> bool:
        return any('"step.probe_failed"' in log.read_text() for log in site.folder.glob("executor-*.log"))

    await until("no more attempts to be made for longer than all retries take", outlasts_all_retries)
    await until("a probe to find out that it is too early", probe_failed)
    assert await site.count("SELECT count(*) FROM workflow_instances WHERE status = 'InProgress'") == WORKFLOWS
    assert await site.count("SELECT max(retry_count) FROM workflow_instances") <= 2, "held back, not used up"
    bystander = await site.begin("many")
    await site.reaches(bystander, "Completed")
    site.gate.touch()
    for workflow in workflows:
        await site.reaches(workflow, "Completed", seconds=60)
    assert await site.count("SELECT max(failed_attempts) FROM workflow_instances") <= 2, "a probe is no attempt"


async def test_what_one_executor_learns_holds_steps_back_in_all(another: NewExecutor) -> None:
    one, other = another(), another()
    for _ in range(MINIMUM):
        one.report(STEP, Go(0), Failed(OUTAGE))

    async def other_holds() -> bool:
        return isinstance(await other.admit(STEP), Hold)

    await until("the other executor to hold the step back", other_holds)
    assert isinstance(await other.admit(StepDefinition("log")), Go), "who depends on nothing runs"


async def test_a_step_that_was_never_begun_says_nothing_of_its_dependency(redis: Redis, another: NewExecutor) -> None:
    heeds = another()
    for _ in range(MINIMUM):
        heeds.report(STEP, Go(0), Failed(OUTAGE, was_run=False))
    await heeds.look()
    assert await SharedDependencies(redis).read(["smtp"]) == {}


async def test_without_redis_nothing_is_held_back(redis: Redis, another: NewExecutor) -> None:
    heeds = another()
    await SharedDependencies(redis).change("smtp", lambda known, now: learn(Outcomes(0, failed=MINIMUM), known, now))

    async def holds() -> bool:
        return isinstance(await heeds.admit(STEP), Hold)

    await until("the step to be held back", holds)
    await redis.flushall()

    async def runs() -> bool:
        return isinstance(await heeds.admit(STEP), Go)

    await until("the step to run after Redis was emptied", runs)


async def test_of_many_that_ask_together_as_many_go_as_the_wave_takes_and_the_others_are_held(
    redis: Redis, another: NewExecutor
) -> None:
    shared = SharedDependencies(redis)

    def in_a_wave(known: Dependency, now: datetime) -> Dependency:
        return Dependency(now, DependencyState.PROBING, epoch=known.epoch + 1, wave=16)

    await shared.change("smtp", in_a_wave)
    executors = [another(), another()]
    for heeds in executors:
        await heeds.look()
    answers = await asyncio.gather(*(heeds.admit(STEP) for heeds in executors for _ in range(300)))
    assert sum(isinstance(answer, Go) for answer in answers) == 16
    longest = max(answer.delay for answer in answers if isinstance(answer, Hold))
    assert longest > SHORT_HOLD, "a crowd comes back later"


async def test_no_report_is_lost_when_many_tell_at_the_same_time(redis: Redis) -> None:
    shared = SharedDependencies(redis)

    def one_more(known: Dependency, now: datetime) -> Dependency:
        return learn(Outcomes(known.epoch, passed=1), known, now)

    await asyncio.gather(*(shared.change("smtp", one_more) for _ in range(20)))
    found = (await shared.read(["smtp", "unused"]))["smtp"]
    assert (found.passed, found.state) == (20, DependencyState.CLOSED)
    assert "unused" not in await shared.read(["unused"])


async def test_older_and_newer_executors_understand_each_other(redis: Redis) -> None:
    shared, key = SharedDependencies(redis), "ratchet:dependency:smtp"

    def opened(_known: Dependency, now: datetime) -> Dependency:
        return Dependency(now, DependencyState.OPEN, epoch=7, probe_at=now, trips=2)

    await shared.change("smtp", opened)
    written = json.loads(await redis.get(key))
    await redis.set(key, json.dumps(written | {"of_a_newer_version": {"a": 1}}))
    found = (await shared.read(["smtp"]))["smtp"]
    assert (found.state, found.epoch, found.trips) == (DependencyState.OPEN, 7, 2)
    del written["trips"]  # as a version would have it that does not know it yet
    await redis.set(key, json.dumps(written))
    assert (await shared.read(["smtp"]))["smtp"].trips == 0


async def test_a_breaker_that_nobody_understands_holds_nobody_back(redis: Redis) -> None:
    shared, key = SharedDependencies(redis), "ratchet:dependency:smtp"
    for nonsense in (
        "no json",
        "[]",
        "{}",
        '{"changed_at": "2026-01-01T00:00:00Z", "state": "newer"}',
    ):
        await redis.set(key, nonsense)
        assert await shared.read(["smtp"]) == {}
        assert (await shared.change("smtp", lambda known, _now: replace(known, epoch=1))).epoch == 1


async def test_a_redis_that_is_away_is_told_as_such() -> None:
    nobody = connect("redis://127.0.0.1:1", name="nobody")
    shared = SharedDependencies(nobody)
    with pytest.raises(ConnectionError):
        await shared.read(["smtp"])
    with pytest.raises(ConnectionError):
        await shared.change("smtp", lambda known, _now: known)
