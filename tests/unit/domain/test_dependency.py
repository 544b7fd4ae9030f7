from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.definition import StepDefinition
from ratchet.domain.dependency import (
    FIRST_PAUSE,
    FREE_PROBES,
    HOLDS,
    LARGEST_WAVE,
    LONG_HOLD,
    LONGEST_PAUSE,
    MINIMUM,
    PATIENCE,
    SHORT_HOLD,
    WINDOW,
    Dependency,
    DependencyState,
    Outcomes,
    ask,
    hold_for,
    is_free_probe,
    learn,
    rest,
)
from ratchet.domain.retry import Retry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = Dependency(NOW)
OPENED = learn(Outcomes(0, failed=MINIMUM), CLOSED, NOW)
AFTER_PAUSE = NOW + FIRST_PAUSE


def passed_wave(dependency: Dependency, now: datetime) -> Dependency:
    """The breaker after all of the present wave went well."""
    while True:
        dependency, may_run = ask(dependency, now)
        if not may_run:
            return learn(Outcomes(dependency.epoch, passed=dependency.wave), dependency, now)


def test_while_it_is_closed_every_step_runs() -> None:
    assert ask(CLOSED, NOW) == (CLOSED, True)


def test_it_opens_when_most_recent_steps_failed() -> None:
    assert OPENED.state is DependencyState.OPEN
    assert OPENED.probe_at == AFTER_PAUSE
    assert ask(OPENED, NOW) == (OPENED, False)


@pytest.mark.parametrize(("passed", "failed"), [(0, MINIMUM - 1), (MINIMUM, MINIMUM), (1000, 400)])
def test_it_stays_closed_on_few_failures_and_on_fewer_than_half(passed: int, failed: int) -> None:
    assert learn(Outcomes(0, passed, failed), CLOSED, NOW).state is DependencyState.CLOSED


def test_failures_of_long_ago_do_not_count() -> None:
    some = learn(Outcomes(0, failed=MINIMUM - 1), CLOSED, NOW)
    later = learn(Outcomes(0, failed=1), some, NOW + WINDOW + timedelta(seconds=1))
    assert later.state is DependencyState.CLOSED
    assert later.failed == 1


def test_successes_of_long_ago_do_not_keep_it_closed() -> None:
    many = learn(Outcomes(0, passed=10_000), CLOSED, NOW)
    assert learn(Outcomes(0, failed=MINIMUM), many, NOW + WINDOW * 2).state is DependencyState.OPEN


def test_after_the_pause_one_step_goes_first() -> None:
    probing, may_run = ask(OPENED, AFTER_PAUSE)
    assert (probing.state, probing.wave, may_run) == (DependencyState.PROBING, 1, True)
    assert ask(probing, AFTER_PAUSE) == (probing, False)


def test_waves_double_until_it_closes() -> None:
    probing, _ = ask(OPENED, AFTER_PAUSE)
    sizes = []
    while probing.state is DependencyState.PROBING:
        sizes.append(probing.wave)
        probing = passed_wave(probing, AFTER_PAUSE)
    assert sizes == [1, 2, 4, 8, 16, 32, 64]
    assert sizes[-1] == LARGEST_WAVE
    assert (probing.state, probing.trips) == (DependencyState.CLOSED, 0)


def test_a_failed_probe_opens_it_again_for_twice_as_long() -> None:
    probing, _ = ask(OPENED, AFTER_PAUSE)
    again = learn(Outcomes(probing.epoch, failed=1), probing, AFTER_PAUSE)
    assert again.state is DependencyState.OPEN
    assert again.probe_at == AFTER_PAUSE + FIRST_PAUSE * 2


def test_the_pause_has_an_upper_limit() -> None:
    dependency, now = OPENED, NOW
    for _ in range(2000):
        assert dependency.probe_at is not None
        now = dependency.probe_at
        dependency, _ = ask(dependency, now)
        dependency = learn(Outcomes(dependency.epoch, failed=1), dependency, now)
    assert dependency.probe_at == now + LONGEST_PAUSE


def test_what_began_before_a_wave_says_nothing_about_it() -> None:
    probing, _ = ask(OPENED, AFTER_PAUSE)
    assert learn(Outcomes(CLOSED.epoch, failed=50), probing, AFTER_PAUSE) is probing
    assert learn(Outcomes(OPENED.epoch, passed=50), probing, AFTER_PAUSE) is probing


def test_what_a_dead_executor_was_let_through_for_is_let_through_again() -> None:
    lost, _ = ask(OPENED, AFTER_PAUSE)
    assert ask(lost, AFTER_PAUSE + PATIENCE) == (lost, False)
    again, may_run = ask(lost, AFTER_PAUSE + PATIENCE + timedelta(seconds=1))
    assert may_run
    assert (again.wave, again.admitted, again.epoch) == (1, 1, lost.epoch)


def test_steps_that_take_longer_than_the_patience_close_it_all_the_same() -> None:
    dependency, _ = ask(OPENED, AFTER_PAUSE)
    now, running = AFTER_PAUSE, [AFTER_PAUSE]
    for _ in range(1000):
        now += timedelta(seconds=1)
        ended = [since for since in running if now - since >= PATIENCE * 1.2]
        running = [since for since in running if since not in ended]
        if ended:
            dependency = learn(Outcomes(dependency.epoch, passed=len(ended)), dependency, now)
        while dependency.state is DependencyState.PROBING:
            dependency, may_run = ask(dependency, now)
            if not may_run:
                break
            running.append(now)
    assert dependency.state is DependencyState.CLOSED


def test_it_opens_again_soon_when_the_dependency_goes_down_in_a_large_wave() -> None:
    large = replace(ask(OPENED, AFTER_PAUSE)[0], wave=LARGEST_WAVE, admitted=MINIMUM)
    assert learn(Outcomes(large.epoch, failed=MINIMUM), large, AFTER_PAUSE).state is DependencyState.OPEN


def test_only_the_first_of_a_probing_dependency_fails_at_no_cost_and_not_for_ever() -> None:
    first, _ = ask(OPENED, AFTER_PAUSE)
    assert is_free_probe(first)
    assert not is_free_probe(learn(Outcomes(first.epoch, passed=1), first, AFTER_PAUSE)), "it answers, evidently"
    assert not is_free_probe(replace(first, trips=FREE_PROBES + 1))
    assert not is_free_probe(CLOSED)


def test_what_nobody_asks_for_any_more_is_not_called_open() -> None:
    assert rest(OPENED, AFTER_PAUSE) is OPENED
    rested = rest(OPENED, AFTER_PAUSE + PATIENCE * 2)
    assert (rested.state, rested.wave, rested.admitted) == (DependencyState.PROBING, 1, 0)
    assert rest(rested, AFTER_PAUSE + PATIENCE * 9) is rested
    assert ask(rested, AFTER_PAUSE + PATIENCE * 9)[1], "the next one that comes probes"
    assert rest(CLOSED, AFTER_PAUSE) is CLOSED


def test_steps_ask_again_soon_when_it_is_about_to_probe_and_later_when_not() -> None:
    assert hold_for(OPENED, NOW) == SHORT_HOLD
    assert hold_for(replace(OPENED, probe_at=NOW + LONG_HOLD), NOW) == LONG_HOLD
    assert hold_for(ask(OPENED, AFTER_PAUSE)[0], AFTER_PAUSE) == SHORT_HOLD


def test_a_step_with_a_dependency_needs_delay_queues_for_being_held_back() -> None:
    assert StepDefinition("mail", retry=Retry(1)).delays == (timedelta(seconds=1),)
    assert StepDefinition("mail", depends_on="smtp").delays == HOLDS
    assert StepDefinition("mail", retry=Retry(1), depends_on="smtp").delays == (timedelta(seconds=1), *HOLDS)


EVENTS = st.lists(st.tuples(st.sampled_from(["ask", "pass", "fail", "rest"]), st.integers(0, 120)), max_size=200)


@given(EVENTS)
def test_whatever_happens_no_more_are_under_way_than_the_wave_is_large_and_epochs_only_grow(
    events: list[tuple[str, int]],
) -> None:
    dependency, now = CLOSED, NOW
    for kind, seconds in events:
        now += timedelta(seconds=seconds)
        before = dependency
        if kind == "ask":
            dependency, may_run = ask(dependency, now)
            assert may_run or dependency.state is not DependencyState.CLOSED
        elif kind == "rest":
            dependency = rest(dependency, now)
        else:
            outcomes = Outcomes(dependency.epoch, passed=int(kind == "pass"), failed=int(kind == "fail"))
            dependency = learn(outcomes, dependency, now)
        assert dependency.admitted <= dependency.wave
        assert dependency.epoch >= before.epoch
        assert dependency.epoch > before.epoch or dependency.state is before.state
