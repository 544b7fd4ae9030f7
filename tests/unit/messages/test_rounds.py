"""Commands that go round: counted by us, with growing pauses, and not for ever."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ratchet.messages.envelope import Incoming, Outgoing
from ratchet.messages.rounds import (
    AGAIN_AFTER,
    MOST_ROUNDS,
    NONE_UNDER_WAY,
    PATIENT_ROUNDS,
    RETURNS_HEADER,
    ROUNDS_HEADER,
    StartsUnderWay,
    returned,
    returns_of,
    rounds_of,
    waiting,
)
from ratchet.messages.routes import again_name, waiting_name

BUSY = StartsUnderWay(in_line=1)


def command(headers: dict[str, Any] | None = None) -> Incoming:
    return Incoming(b"{}", "m-1", "c-1", "t", "ratchet.commands", "step.execute", False, headers or {})


def following(message: Outgoing) -> Incoming:
    return command(dict(message.headers))


def test_a_command_that_comes_back_is_sent_again_after_pauses_that_grow_and_at_last_not_at_all() -> None:
    message, pauses = command(), []
    while (again := returned(message, "step.execute", b"{}")) is not None:
        assert (again.message_id, again.route.routing_key, again.body) == ("m-1", "step.execute", b"{}")
        pauses.append(again.route.exchange)
        message = following(again)
    assert pauses == [again_name(pause) for pause in AGAIN_AFTER]
    assert list(AGAIN_AFTER) == sorted(AGAIN_AFTER)
    assert returns_of(message) == len(AGAIN_AFTER)


def test_nothing_the_broker_wrote_is_sent_along_but_the_trace_is() -> None:
    message = command({"x-death": [{"queue": "q"}], "x-delivery-count": 7, "traceparent": "00-ab-cd-01"})
    again = returned(message, "workflow.start", b"[]")
    assert again is not None
    assert again.headers == {"traceparent": "00-ab-cd-01", RETURNS_HEADER: 1}


def rounds_until_given_up(starts: StartsUnderWay) -> int:
    message, rounds = command(), 0
    while (again := waiting(message, starts)) is not None:
        message, rounds = following(again), rounds + 1
    return rounds


def test_a_command_waits_a_little_for_a_workflow_nobody_announced_and_long_while_starts_are_under_way() -> None:
    assert rounds_until_given_up(NONE_UNDER_WAY) == PATIENT_ROUNDS
    for starts in (BUSY, StartsUnderWay(coming_again=1), StartsUnderWay(unpacking=True), StartsUnderWay(promised=True)):
        assert rounds_until_given_up(starts) == MOST_ROUNDS


def test_a_command_that_waits_goes_by_a_room_of_its_own_and_keeps_how_often_it_came_back() -> None:
    again = waiting(command({RETURNS_HEADER: 2}), NONE_UNDER_WAY)
    assert again is not None
    assert again.route.exchange == waiting_name(timedelta(seconds=1))
    assert again.headers == {ROUNDS_HEADER: 1, RETURNS_HEADER: 2}


@given(st.none() | st.booleans() | st.integers(max_value=0) | st.text() | st.floats() | st.lists(st.integers()))
def test_a_count_that_somebody_else_wrote_is_no_count(value: object) -> None:
    message = command({RETURNS_HEADER: value, ROUNDS_HEADER: value})
    assert (returns_of(message), rounds_of(message)) == (0, 0)
