"""Where a message waits: every wait has a queue, and takes few rounds."""

from datetime import timedelta

import pytest
from executor.rules import Rules
from hypothesis import given
from hypothesis import strategies as st
from ratchet.adapters.rabbitmq.topology import waits_of
from ratchet.domain.retry import JITTER, Retry

DAY = 86_400


def rules(*plan: float) -> Rules:
    delays = waits_of(timedelta(seconds=delay) for delay in plan)
    return Rules(frozenset({"default"}), Retry(*plan), timedelta(seconds=30), 1, timedelta(seconds=1), tuple(delays))


def rounds(of: Rules, wait: timedelta) -> int:
    """How often a message passes through a queue until its row is due."""
    count, left = 0, wait
    while left > timedelta(milliseconds=50):
        route, stay = of.route_after("default", left)
        assert route.exchange.startswith("executor.retry."), "it waits in a delay queue, not in a loop"
        assert timedelta(0) < stay <= left
        left -= stay
        count += 1
        assert count < 200, "it never ends"
    return count


@pytest.mark.parametrize("plan", [(0,), (0, 2, 5), ()], ids=str)
def test_an_hour_takes_a_few_rounds_whatever_the_plan(plan: tuple[float, ...]) -> None:
    assert rounds(rules(*plan), timedelta(hours=1)) <= 10


@given(wait=st.floats(0.06, DAY), plan=st.lists(st.floats(0, 100), max_size=3))
def test_every_wait_up_to_a_day_ends(wait: float, plan: list[float]) -> None:
    assert rounds(rules(*plan), timedelta(seconds=wait)) <= DAY / 600 + 20


@given(fraction=st.floats(0, 1, exclude_max=True))
def test_a_retry_of_the_plan_waits_in_its_own_queue(fraction: float) -> None:
    delay = timedelta(seconds=5) * (1 - JITTER * fraction)
    assert rules(0, 2, 5).route_after("default", delay)[0].exchange == "executor.retry.5000"
