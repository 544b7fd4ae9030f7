"""One bad member must not fail its neighbours, and a database in trouble must make no member guilty."""

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
import pytest
from ratchet.adapters.postgres.coalescer import Coalescer

MEMBERS = 8


async def answers_of(run: Callable[[list[int]], Sequence[int]]) -> tuple[list[int | BaseException], list[list[int]]]:
    """What each of several members that came together was answered, and the batches that were run."""
    batches: list[list[int]] = []

    async def run_batch(items: list[int]) -> Sequence[int]:
        batches.append(items)
        return run(items)

    coalescer = Coalescer[int, int](run_batch, key=lambda item: item, limit=100)
    tasks = [asyncio.create_task(coalescer.submit(number)) for number in range(MEMBERS)]
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    return answers, batches


@pytest.mark.parametrize(
    "error",
    [asyncpg.DataError("its content"), asyncpg.InternalServerError("who knows"), TypeError("ours")],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_that_tells_of_no_server_is_left_to_the_member_that_causes_it(error: Exception) -> None:
    def run(items: list[int]) -> Sequence[int]:
        if 5 in items:
            raise error
        return [item * 10 for item in items]

    answers, _batches = await answers_of(run)
    assert answers == [error if number == 5 else number * 10 for number in range(MEMBERS)]


@pytest.mark.parametrize(
    "error",
    [asyncpg.ReadOnlySQLTransactionError("no writes"), asyncpg.UndefinedTableError("gone"), ConnectionResetError()],
    ids=lambda error: type(error).__name__,
)
async def test_an_outage_is_everybodys_and_asked_about_once(error: Exception) -> None:
    def run(_items: list[int]) -> Sequence[int]:
        raise error

    answers, batches = await answers_of(run)
    assert answers == [error] * MEMBERS
    assert len(batches) == 1


async def test_a_statement_that_answers_too_little_leaves_nobody_waiting() -> None:
    answers, _batches = await answers_of(lambda _items: [])
    assert all(isinstance(answer, ValueError) for answer in answers)
