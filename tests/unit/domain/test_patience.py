"""Which message is set aside, and which only waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.patience import LONGEST, LONGEST_IN_OUTAGE, Failing, failed
from ratchet.domain.trouble import Trouble

OUTAGES = [kind for kind in Trouble if kind.is_outage]


def after(tries: int, trouble: Trouble, *, every: float = 30.0, others_pass: bool) -> Failing:
    """A delivery that failed so often, others passing in between or not."""
    failing: Failing | None = None
    for number in range(tries):
        now = number * every
        failing = failed(failing, trouble, now=now, passed_since=now - every / 2 if others_pass else None)
    assert failing is not None
    return failing


@pytest.mark.parametrize("trouble", [kind for kind in Trouble if kind is not Trouble.CONTENT])
def test_nothing_is_set_aside_while_nothing_else_passes(trouble: Trouble) -> None:
    assert not after(10_000, trouble, others_pass=False).is_to_be_set_aside


def test_a_message_that_fails_alone_is_set_aside() -> None:
    assert not after(3, Trouble.UNKNOWN, others_pass=True).is_to_be_set_aside
    assert after(8, Trouble.UNKNOWN, others_pass=True).is_to_be_set_aside


def test_failing_quickly_is_not_failing_for_long() -> None:
    assert not after(100, Trouble.UNKNOWN, every=0.1, others_pass=True).is_to_be_set_aside


@pytest.mark.parametrize("trouble", OUTAGES)
def test_a_message_that_a_server_cannot_serve_now_gets_ten_minutes_even_when_others_pass(trouble: Trouble) -> None:
    assert not after(19, trouble, others_pass=True).is_to_be_set_aside
    assert after(30, trouble, others_pass=True).is_to_be_set_aside


def test_data_that_a_server_refuses_need_no_comparison() -> None:
    assert not after(1, Trouble.CONTENT, others_pass=False).is_to_be_set_aside
    assert after(5, Trouble.CONTENT, others_pass=False).is_to_be_set_aside


def test_one_that_passed_before_the_last_try_shows_nothing() -> None:
    """It may have ended well just before the trouble came, however often this one fails afterwards."""
    first = failed(None, Trouble.UNKNOWN, now=0.0, passed_since=None)
    failing = first
    for number in range(1, 100):
        failing = failed(failing, Trouble.UNKNOWN, now=number * 30.0, passed_since=0.0)
    assert failing.tries == 100
    assert not failing.is_to_be_set_aside


@given(tries=st.integers(1, 10_000), chance=st.floats(0, 1), trouble=st.sampled_from(Trouble))
def test_pauses_grow_up_to_their_bound(tries: int, chance: float, trouble: Trouble) -> None:
    def at(number: int) -> float:
        return Failing(trouble, number, 0, 0.0, 0.0).pause(chance)

    assert 0 < at(tries) <= at(tries + 1) <= (LONGEST_IN_OUTAGE if trouble.is_outage else LONGEST)
