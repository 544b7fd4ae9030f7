"""How often and when a failed step is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.errors import InvalidDefinition
from ratchet.domain.retry import DEFAULT_RETRY, JITTER, GiveUp, Retry, RetryIn, jittered, plan_retry


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
