import asyncio
from dataclasses import dataclass, field

import pytest
from admin_api.limit_rate import REMEMBERED, Limiter, Rate
from admin_api.problems import Problem

RATE = Rate(3, 1)


@dataclass
class Redis:
    """Answers as it is told; counts how often it is asked."""

    wait: float = 0.0
    away: bool = False
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def wait_for(self, key: str, *, burst: float, per_second: float) -> float:
        self.asked.append(key)
        if self.hangs:
            await asyncio.sleep(60)
        if self.away:
            raise ConnectionError("away")
        return self.wait


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def count_admitted(limiter: Limiter, principal: str, tries: int) -> int:
    admitted = 0
    for _ in range(tries):
        try:
            await limiter.admit("requests", principal, RATE)
        except Problem:
            continue
        admitted += 1
    return admitted


async def test_who_asks_too_often_is_told_how_long_to_wait() -> None:
    with pytest.raises(Problem) as refused:
        await Limiter(Redis(wait=1.2)).admit("requests", "sarah", RATE)
    assert refused.value.status_code == 429
    assert refused.value.headers == {"Retry-After": "2"}


async def test_without_redis_the_instance_counts_for_itself() -> None:
    clock = Clock()
    limiter = Limiter(Redis(away=True), clock)
    assert await count_admitted(limiter, "sarah", 10) == 3
    clock.now += 2
    assert await count_admitted(limiter, "sarah", 10) == 2


async def test_one_principal_uses_up_nothing_of_another() -> None:
    limiter = Limiter(Redis(away=True), Clock())
    await count_admitted(limiter, "sarah", 10)
    assert await count_admitted(limiter, "tom", 10) == 3


async def test_a_redis_that_is_away_is_not_asked_by_each_request() -> None:
    redis, clock = Redis(away=True), Clock()
    limiter = Limiter(redis, clock)
    await count_admitted(limiter, "sarah", 10)
    assert len(redis.asked) == 1
    clock.now += 3
    redis.away = False
    assert await count_admitted(limiter, "sarah", 10) == 10


async def test_a_redis_that_does_not_answer_holds_nobody_up_for_long() -> None:
    limiter = Limiter(Redis(hangs=True))
    async with asyncio.timeout(2):
        assert await count_admitted(limiter, "sarah", 3) == 3


async def test_the_buckets_of_a_flood_of_principals_do_not_fill_the_memory() -> None:
    limiter = Limiter(Redis(away=True), Clock())
    for number in range(REMEMBERED + 50):
        await limiter.admit("requests", f"p-{number}", RATE)
    assert len(limiter._own) == REMEMBERED
