"""Suspects are tried in groups, acquitted by their first commit, and those on their last chance alone."""

import asyncio

from executor.suspects import Suspects, Trial


class Court:
    """Suspects that commit when the test says so."""

    def __init__(self, **limits: float) -> None:
        self.suspects = Suspects(gather=0.001, **limits)
        self.running: dict[int, Trial] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.over = asyncio.Event()

    def bring(self, count: int, *, recoveries: int) -> None:
        for _ in range(count):
            self.tasks.append(asyncio.create_task(self._stand(len(self.tasks), recoveries)))

    async def _stand(self, number: int, recoveries: int) -> None:
        async with self.suspects.trial(recoveries) as trial:
            self.running[number] = trial
            await self.over.wait()

    async def settles(self) -> int:
        """How many were let run so far."""
        await asyncio.sleep(0.02)
        return len(self.running)

    def acquit(self) -> None:
        for trial in self.running.values():
            trial.acquit()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_forty_suspects_run_after_three_first_commits() -> None:
    court = Court()
    court.bring(40, recoveries=1)
    seen = []
    for _ in range(3):
        seen.append(await court.settles())
        court.acquit()
    assert seen == [6, 18, 40]
    await court.close()


async def test_who_is_on_the_last_chance_runs_alone_until_it_has_committed() -> None:
    court = Court(patience=0.001)
    court.bring(3, recoveries=2)
    for expected in (1, 2, 3):
        assert await court.settles() == expected
        court.acquit()
    await court.close()


async def test_a_group_that_lives_makes_room_after_a_while() -> None:
    court = Court(patience=0.001)
    court.bring(4, recoveries=1)
    async with asyncio.timeout(5):
        while await court.settles() < 4:
            pass
    await court.close()


async def test_one_that_goes_away_while_it_waits_or_is_tried_holds_nobody_up() -> None:
    court = Court()
    court.bring(1, recoveries=2)
    assert await court.settles() == 1
    court.bring(2, recoveries=2)
    await court.settles()
    court.tasks[1].cancel()
    court.tasks[0].cancel()
    assert await court.settles() == 2
    assert set(court.running) == {0, 2}
    await court.close()
