"""A bulk recovery: frozen selection, canaries first, stopped by a relapse, whole after a restart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from ratchet.adapters.postgres.bulk_requests import BulkRequests
from ratchet.adapters.postgres.query_engine import connect_engine
from ratchet.domain.recovery import RecoveryKind
from ratchet.failed_filter import BulkOrder, FailedFilter

from tests.integration.executor.processes import until
from tests.integration.recovery.recovery_stage import RecoveryStage


@pytest.fixture
async def requests(stage: RecoveryStage, database_url: str) -> AsyncIterator[BulkRequests]:
    engine = connect_engine(database_url, application="test", size=2)
    yield BulkRequests(engine)
    await engine.dispose()


def order(canary: int = 2, **wanted: str) -> BulkOrder:
    return BulkOrder(
        FailedFilter(**wanted), actor="ada", reason="supplier is back", canary=canary, correlation_id="c-9"
    )


async def asked(requests: BulkRequests, wanted: BulkOrder) -> UUID:
    bulk_id = uuid4()
    await requests.freeze(bulk_id, wanted)
    return bulk_id


async def begun(stage: RecoveryStage, bulk_id: UUID) -> list[UUID]:
    """Workflows that were started and have no verdict yet."""
    rows = await stage.pool.fetch(
        "SELECT workflow_id FROM bulk_recovery_items WHERE bulk_id = $1 AND outcome = 'started'", bulk_id
    )
    return [row["workflow_id"] for row in rows]


async def three_begun(stage: RecoveryStage, bulk_id: UUID) -> None:
    async def there() -> bool:
        return len(await begun(stage, bulk_id)) == 3

    await until("three items to be started", there, seconds=10)


async def test_the_selection_is_frozen_when_it_is_asked_for(stage: RecoveryStage, requests: BulkRequests) -> None:
    chosen = {await stage.failed_at("b") for _ in range(3)}
    await stage.failed_at("c")
    bulk_id = await asked(requests, order(step="b"))
    await stage.failed_at("b")
    items = await stage.pool.fetch("SELECT workflow_id FROM bulk_recovery_items WHERE bulk_id = $1", bulk_id)
    assert {row["workflow_id"] for row in items} == chosen


async def test_asking_twice_under_one_id_is_asking_once(stage: RecoveryStage, requests: BulkRequests) -> None:
    await stage.failed_at("b")
    bulk_id = uuid4()
    assert [await requests.freeze(bulk_id, order()) for _ in range(2)] == [1, 1]
    assert await stage.pool.fetchval("SELECT count(*) FROM bulk_recovery_items") == 1


async def test_nothing_beyond_the_canaries_starts_before_all_of_them_are_verified(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    for _ in range(5):
        await stage.failed_at("b")
    bulk_id, bulk = await asked(requests, order(canary=2)), stage.bulk()
    for _ in range(3):
        await bulk.advance(bulk_id)
    canaries = await begun(stage, bulk_id)
    assert len(canaries) == 2
    await stage.pass_step(canaries[0])
    await stage.verify()
    await bulk.advance(bulk_id)
    assert len(await begun(stage, bulk_id)) == 1
    await stage.pass_step(canaries[1])
    await stage.verify()
    await bulk.advance(bulk_id)
    assert len(await begun(stage, bulk_id)) == 3


async def test_a_relapse_stops_the_batch_and_the_rest_stays_failed(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    workflows = [await stage.failed_at("b") for _ in range(6)]
    bulk_id, bulk = await asked(requests, order(canary=2)), stage.bulk()
    await bulk.advance(bulk_id)
    await stage.give_up(await stage.take((await begun(stage, bulk_id))[0]))
    await stage.verify()
    await bulk.advance(bulk_id)
    progress = await requests.find(bulk_id)
    assert progress is not None
    assert (progress.state, progress.progress.relapsed, progress.progress.skipped) == ("stopped", 1, 4)
    statuses = [await stage.status(workflow_id) for workflow_id in workflows]
    assert statuses.count("Failed") == 5
    outcomes = await stage.pool.fetch("SELECT action, outcome FROM audit_log WHERE action = 'bulk-recover' ORDER BY id")
    assert [tuple(row) for row in outcomes] == [("bulk-recover", "requested"), ("bulk-recover", "stopped")]


async def test_an_executor_that_dies_stops_no_batch(stage: RecoveryStage, requests: BulkRequests) -> None:
    for _ in range(4):
        await stage.failed_at("b")
    bulk_id, bulk = await asked(requests, order(canary=2)), stage.bulk()
    await bulk.advance(bulk_id)
    for workflow_id in await begun(stage, bulk_id):
        await stage.take(workflow_id, stage.executor("dead", timedelta(seconds=-1)))
        await stage.take(workflow_id, stage.executor("heir", timedelta(seconds=-1)), take_over=True)
    await stage.verify()
    await bulk.advance(bulk_id)
    await stage.scan()
    for _ in range(4):
        for workflow_id in await begun(stage, bulk_id):
            await stage.pass_step(workflow_id)
        await stage.verify()
        await bulk.advance(bulk_id)
    found = await requests.find(bulk_id)
    assert found is not None
    assert (found.state, found.progress.verified, found.progress.relapsed) == ("completed", 4, 0)


async def test_a_batch_that_helped_everybody_is_completed_and_its_counts_add_up(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    gone = await stage.failed_at("b")
    for _ in range(4):
        await stage.failed_at("b")
    bulk_id, bulk = await asked(requests, order(canary=1)), stage.bulk()
    await stage.command(RecoveryKind.CANCEL, gone)
    for _ in range(12):
        await bulk.advance(bulk_id)
        for workflow_id in await begun(stage, bulk_id):
            await stage.pass_step(workflow_id)
        await stage.verify()
    found = await requests.find(bulk_id)
    assert found is not None
    assert (found.state, found.total, found.progress.verified, found.progress.skipped) == ("completed", 5, 4, 1)
    page, _more = await requests.items(bulk_id, outcome="skipped", after=0, limit=10)
    assert [(item.workflow_id, item.detail) for item in page] == [(gone, "It is Cancelled by now")]


async def test_a_canary_that_cannot_be_recovered_stops_the_batch(stage: RecoveryStage, requests: BulkRequests) -> None:
    for _ in range(3):
        await stage.failed_at("b")
    await stage.pool.execute("UPDATE checkpoints SET state = '{}'")
    bulk_id, bulk = await asked(requests, order(canary=1)), stage.bulk()
    await bulk.advance(bulk_id)
    await bulk.advance(bulk_id)
    found = await requests.find(bulk_id)
    assert found is not None
    assert (found.state, found.progress.failed, found.progress.skipped) == ("stopped", 1, 2)
    assert await stage.pool.fetchval("SELECT count(*) FROM recovery_attempts WHERE outcome = 'failed'") == 1


async def test_without_canaries_everybody_starts_at_once(stage: RecoveryStage, requests: BulkRequests) -> None:
    for _ in range(4):
        await stage.failed_at("a")
    bulk_id = await asked(requests, order(canary=0))
    assert await stage.bulk().advance(bulk_id) == 4


async def test_a_batch_with_a_rate_of_its_own_begins_no_more_than_that_in_a_second(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    for _ in range(4):
        await stage.failed_at("a")
    slow = BulkOrder(FailedFilter(step="a"), "ada", "r", canary=0, correlation_id="c", rate=2)
    bulk_id = await asked(requests, slow)
    assert await stage.bulk().advance(bulk_id) == 2
    running = asyncio.create_task(stage.bulk().run())

    async def all_begun() -> bool:
        return len(await begun(stage, bulk_id)) == 4

    await until("the rest to be started", all_begun, seconds=10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_named_workflows_that_are_not_failed_are_left_alone_and_said_to_be(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    failed, done = await stage.failed_at("a"), (await stage.completed()).workflow_id
    named = BulkOrder(FailedFilter(), "ada", "r", 0, "c", workflow_ids=(failed, done, uuid4()))
    bulk_id = await asked(requests, named)
    await stage.bulk().advance(bulk_id)
    items, _more = await requests.items(bulk_id, outcome=None, after=0, limit=10)
    assert [(item.outcome.value, item.detail) for item in items] == [
        ("started", None),
        ("skipped", "It is Completed by now"),
        ("skipped", "It is archived, or there is none"),
    ]


async def test_a_cancelled_batch_starts_nothing_more(stage: RecoveryStage, requests: BulkRequests) -> None:
    for _ in range(4):
        await stage.failed_at("a")
    bulk_id, bulk = await asked(requests, order(canary=1)), stage.bulk()
    await bulk.advance(bulk_id)
    assert await requests.cancel(bulk_id, actor="ada", reason="wrong filter", correlation_id="c-10")
    assert await bulk.advance(bulk_id) == 0
    found = await requests.find(bulk_id)
    assert found is not None
    assert (found.state, found.progress.started, found.progress.skipped) == ("cancelled", 1, 3)
    assert not await requests.cancel(bulk_id, actor="ada", reason="again", correlation_id="c-10")


async def test_several_recovery_services_start_each_item_once(stage: RecoveryStage, requests: BulkRequests) -> None:
    workflows = [await stage.failed_at("a") for _ in range(8)]
    bulk_id = await asked(requests, order(canary=0))
    await asyncio.gather(*(stage.bulk().advance(bulk_id) for _ in range(4)))
    assert [len(stage.listener.commands(workflow_id)) for workflow_id in workflows] == [1] * 8


async def test_a_restart_in_the_middle_goes_on_where_the_last_commit_left_off(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    workflows = [await stage.failed_at("a") for _ in range(6)]
    bulk_id = await asked(requests, order(canary=3))
    running = asyncio.create_task(stage.bulk().run())
    await three_begun(stage, bulk_id)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for workflow_id in await begun(stage, bulk_id):
        await stage.pass_step(workflow_id)
    await stage.verify()
    second = asyncio.create_task(stage.bulk().run())
    await three_begun(stage, bulk_id)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert [len(stage.listener.commands(workflow_id)) for workflow_id in workflows] == [1] * 6


async def test_two_batches_over_the_same_workflows_recover_each_once(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    workflows = [await stage.failed_at("a") for _ in range(3)]
    first, second = await asked(requests, order(canary=0)), await asked(requests, order(canary=0))
    bulk = stage.bulk()
    await bulk.advance(first)
    await bulk.advance(second)
    found = await requests.find(second)
    assert found is not None
    assert found.progress.skipped == 3
    assert [len(stage.listener.commands(workflow_id)) for workflow_id in workflows] == [1] * 3


async def test_the_filter_of_a_batch_means_what_it_means_in_the_failed_list(
    stage: RecoveryStage, requests: BulkRequests
) -> None:
    old = await stage.failed_at("b")
    await stage.age(old, timedelta(hours=2))
    await stage.failed_at("b")
    bulk_id = await asked(requests, BulkOrder(FailedFilter(older_than=timedelta(hours=1)), "ada", "r", 5, "c"))
    found = await requests.find(bulk_id)
    assert found is not None
    assert found.total == 1
