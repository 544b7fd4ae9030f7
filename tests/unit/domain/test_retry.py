"""How often and when a failed step is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.errors import InvalidDefinition, TransientError, wait_of
from ratchet.domain.retry import DEFAULT_RETRY, EARLY, JITTER, GiveUp, Retry, RetryIn, jittered, plan_retry


def seconds(*values: float) -> list[timedelta]:
    return [timedelta(seconds=value) for value in values]


def test_the_default_plan_retries_three_times_after_0_2_and_5_seconds() -> None:
    delays = []
    for done in range(3):
        decision = plan_retry(DEFAULT_RETRY, retries_done=done, transient=True)
        assert isinstance(decision, RetryIn)
        assert (decision.retry, decision.limit) == (done + 1, 3)
        delays.append(decision.delay)
    assert delays == seconds(0, 2, 5)


def test_after_the_last_retry_the_step_is_given_up_as_exhausted() -> None:
    assert plan_retry(DEFAULT_RETRY, retries_done=3, transient=True) == GiveUp(exhausted=True)


def test_a_permanent_failure_is_never_retried() -> None:
    assert plan_retry(DEFAULT_RETRY, retries_done=0, transient=False) == GiveUp(exhausted=False)


def test_a_plan_without_retries_gives_up_at_once_and_exhausts_nothing() -> None:
    assert plan_retry(Retry(), retries_done=0, transient=True) == GiveUp(exhausted=False)


def test_retry_zero_means_one_retry_at_once() -> None:
    assert plan_retry(Retry(0), retries_done=0, transient=True) == RetryIn(1, 1, timedelta(0))


@given(asked=st.integers(0, 10_000), planned=st.integers(0, 100))
def test_retry_after_lengthens_a_delay_and_never_shortens_it(asked: int, planned: int) -> None:
    decision = plan_retry(Retry(planned), retries_done=0, transient=True, retry_after=timedelta(seconds=asked))
    assert isinstance(decision, RetryIn)
    assert decision.delay == timedelta(seconds=max(asked, planned))


@given(done=st.integers(0, 20), plan=st.lists(st.floats(0, 1000), max_size=10))
def test_a_step_is_retried_as_often_as_its_plan_has_delays(done: int, plan: list[float]) -> None:
    decision = plan_retry(Retry(*plan), retries_done=done, transient=True)
    assert isinstance(decision, RetryIn) == (done < len(plan))


@given(delay=st.floats(0, 10_000), fraction=st.floats(0, 1, exclude_max=True))
def test_jitter_shortens_a_delay_by_at_most_a_fifth(delay: float, fraction: float) -> None:
    full = timedelta(seconds=delay)
    assert full * (1 - JITTER) <= jittered(full, fraction) + timedelta(microseconds=1)
    assert jittered(full, fraction) <= full


@pytest.mark.parametrize("bad", [-1, 86_401, float("nan")])
def test_a_delay_outside_of_a_day_is_refused(bad: float) -> None:
    with pytest.raises(InvalidDefinition):
        Retry(bad)


@given(asked=st.floats(0.001, 80_000), planned=st.floats(0, 100), fraction=st.floats(0, 1, exclude_max=True))
def test_who_asks_for_a_wait_is_never_asked_again_earlier(asked: float, planned: float, fraction: float) -> None:
    wait = timedelta(seconds=asked)
    decision = plan_retry(Retry(planned), retries_done=0, transient=True, retry_after=wait)
    assert isinstance(decision, RetryIn)
    delay = decision.jittered(fraction)
    assert delay > wait
    assert delay <= max(wait * (1 + JITTER) + EARLY, timedelta(seconds=planned))


@given(planned=st.floats(0, 1000), fraction=st.floats(0, 1, exclude_max=True))
def test_without_such_a_wish_the_planned_delay_keeps_its_jitter(planned: float, fraction: float) -> None:
    decision = plan_retry(Retry(planned), retries_done=0, transient=True)
    assert isinstance(decision, RetryIn)
    assert decision.jittered(fraction) == jittered(timedelta(seconds=planned), fraction)


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (30, 30),
        (1.5, 1.5),
        (timedelta(minutes=1), 60),
        (10**400, 86_400),
        (timedelta.max, 86_400),
        (0, None),
        (-5, None),
        (timedelta(seconds=-1), None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("30", None),
        (None, None),
    ],
)
def test_a_wait_is_a_number_of_seconds_or_a_timedelta_up_to_a_day(asked: object, wait: float | None) -> None:
    assert wait_of(asked) == (None if wait is None else timedelta(seconds=wait))
    assert TransientError("busy", retry_after=asked).retry_after == wait_of(asked)
