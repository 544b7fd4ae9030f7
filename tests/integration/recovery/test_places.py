"""So many workflows at most are rescued and not yet known to be well; the others follow as places become free."""

import asyncio
from datetime import timedelta
from uuid import UUID

from tests.integration.recovery.recovery_stage import RecoveryStage

EXPIRED = timedelta(seconds=-1)
LONG = timedelta(minutes=1)
PLACES = 5

UNDER_WAY = "SELECT count(*) FROM workflow_instances WHERE status = 'InProgress' AND last_seq = 0"


async def interrupted(stage: RecoveryStage, count: int) -> list[UUID]:
    """Workflows whose executor is gone."""
    dead = stage.executor("dead", EXPIRED)
    return [(await stage.begin(dead)).workflow_id for _ in range(count)]


async def take_up(stage: RecoveryStage, most: list[int]) -> None:
    """An executor that does one step of whatever was rescued, and notes how many are under way at most."""
    while True:
        most.append(await stage.pool.fetchval(UNDER_WAY))
        query = "SELECT id FROM workflow_instances WHERE status = 'InProgress' AND last_seq = 0 LIMIT 3"
        for row in await stage.pool.fetch(query):
            await stage.pass_step(row["id"])
        await asyncio.sleep(0.005)


async def test_no_more_are_rescued_than_there_are_places_and_the_rest_follow_as_they_become_free(
    stage: RecoveryStage,
) -> None:
    await interrupted(stage, 12)
    first = await stage.scan(place=LONG)
    assert first is not None
    assert (first.resumed, first.has_more) == (PLACES, True)
    none = await stage.scan(place=LONG)
    assert none is not None
    assert (none.resumed, none.has_more) == (0, True)
    rescued = await stage.pool.fetch("SELECT id FROM workflow_instances WHERE status = 'InProgress' LIMIT 2")
    await stage.pass_step(rescued[0]["id"])
    await stage.give_up(await stage.take(rescued[1]["id"]))
    again = await stage.scan(place=LONG)
    assert again is not None
    assert again.resumed == 2, "one has passed its step, and one has failed"


async def test_within_one_turn_all_are_rescued_and_never_more_than_there_are_places_at_once(
    stage: RecoveryStage,
) -> None:
    most = list[int]()
    await interrupted(stage, 40)
    executor = asyncio.create_task(take_up(stage, most))
    counts = await stage.scan(place=LONG, turn=LONG)
    executor.cancel()
    assert counts is not None
    assert (counts.resumed, counts.has_more) == (40, False)
    assert 0 < max(most) <= PLACES


async def test_what_nobody_takes_up_or_takes_long_gives_its_place_to_the_others(stage: RecoveryStage) -> None:
    await interrupted(stage, 12)
    counts = await stage.scan(place=timedelta(milliseconds=150), turn=LONG)
    assert counts is not None
    assert (counts.resumed, counts.has_more) == (12, False)


async def test_failures_that_nobody_looked_after_do_not_wait_for_a_place(stage: RecoveryStage) -> None:
    await interrupted(stage, 6)
    failed = await stage.failed_at("b")
    await stage.age(failed, LONG)
    counts = await stage.scan(place=LONG)
    assert counts is not None
    assert (counts.resumed, counts.attended) == (PLACES, 1)
