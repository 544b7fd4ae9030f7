"""When an EventSource that cannot be let in is told to try again."""

from datetime import timedelta

from notifier.come_back import LATEST, OVER_AFTER, SOONEST, ComeBack


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_wait_grows_with_the_trouble_and_never_beyond_its_bounds() -> None:
    clock = Clock()
    come_back = ComeBack(clock, fraction=lambda: 0.0)
    waits = []
    for _ in range(20):
        waits.append(come_back.after("database"))
        clock.now += waits[-1].total_seconds()
    assert waits == sorted(waits)
    assert waits[0] == SOONEST
    assert waits[-1] == LATEST


def test_a_crowd_is_spread_over_half_of_the_wait() -> None:
    fractions = iter([0.0, 0.5, 1.0])
    come_back = ComeBack(Clock(), fraction=lambda: next(fractions))
    assert [come_back.after("full") / SOONEST for _ in range(3)] == [1.0, 1.25, 1.5]


def test_a_trouble_that_is_over_is_forgotten_and_others_have_their_own_count() -> None:
    clock = Clock()
    come_back = ComeBack(clock, fraction=lambda: 0.0)
    come_back.after("database")
    clock.now += 40
    assert come_back.after("database") == timedelta(seconds=20)
    assert come_back.after("keys") == SOONEST
    clock.now += OVER_AFTER.total_seconds() + 1
    assert come_back.after("database") == SOONEST
