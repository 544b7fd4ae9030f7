"""What the broker says about a death is read, whatever else it says."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.messages.deaths import Death, comes_marked, latest_death, was_returned_too_often

AT = datetime(2026, 1, 1, tzinfo=UTC)
DEATH = {
    "queue": "recovery.commands",
    "reason": "delivery_limit",
    "time": AT,
    "count": 1,
    "exchange": "ratchet.commands",
    "routing-keys": ["recovery.CancelWorkflow"],
}


def test_the_newest_death_counts_and_the_first_queue_is_told() -> None:
    older = DEATH | {"queue": "executor.steps.default"}
    death = latest_death({"x-death": [DEATH, older], "x-first-death-queue": "executor.steps.default"})
    assert death == Death(
        queue="recovery.commands",
        cause="delivery_limit",
        at=str(AT),
        count=1,
        exchange="ratchet.commands",
        routing_key="recovery.CancelWorkflow",
        first_queue="executor.steps.default",
    )
    assert death.reason.endswith("it first died in executor.steps.default")


def test_a_reason_says_how_often_only_if_it_was_more_than_once() -> None:
    once, thrice = latest_death({"x-death": [DEATH]}), latest_death({"x-death": [DEATH | {"count": 3}]})
    assert once is not None
    assert thrice is not None
    assert "times by now" not in once.reason
    assert "3 times by now" in thrice.reason


@pytest.mark.parametrize("headers", [{}, {"x-death": None}, {"x-death": []}, {"x-death": "often"}, {"x-death": [1]}])
def test_a_message_that_never_died_has_no_death(headers: dict[str, Any]) -> None:
    assert latest_death(headers) is None


EXPIRED = DEATH | {"queue": "executor.retry.2000", "reason": "expired"}


def test_what_was_returned_too_often_after_a_delay_queue_was_returned_too_often() -> None:
    """`x-first-death-reason` says "expired" for ever of what was retried once."""
    headers = {"x-death": [DEATH, EXPIRED], "x-first-death-queue": "executor.retry.2000"}
    assert was_returned_too_often(headers | {"x-first-death-reason": "expired"})
    assert not was_returned_too_often({"x-death": [EXPIRED, DEATH], "x-first-death-reason": "delivery_limit"})
    assert not was_returned_too_often({"x-death": [DEATH | {"reason": "rejected"}]})
    assert not was_returned_too_often({})


def test_where_the_broker_names_the_last_death_that_one_counts_whatever_the_order() -> None:
    named = {"x-last-death-queue": DEATH["queue"], "x-last-death-reason": DEATH["reason"]}
    assert was_returned_too_often({"x-death": [EXPIRED, DEATH], **named})
    unknown = {"x-last-death-queue": "elsewhere", "x-last-death-reason": ["odd"]}
    assert not was_returned_too_often({"x-death": [EXPIRED, DEATH], **unknown})


def test_redelivered_means_this_queue_only_where_no_other_one_can_be_meant() -> None:
    """From RabbitMQ 4.0 on what a rejection brought here comes marked; what expired elsewhere does not."""
    assert not comes_marked({})
    assert not comes_marked({"x-death": [EXPIRED, DEATH]})
    assert comes_marked({"x-death": [DEATH, EXPIRED]})
    assert comes_marked({"x-death": [DEATH | {"reason": "rejected"}]})


anything = st.sampled_from([None, 0, -1, "", "text", b"bytes", [], ["a"], [[]], {}, {"a": 1}, AT])
deaths = st.dictionaries(st.sampled_from([*DEATH, "other"]), anything)


@given(st.dictionaries(st.sampled_from(["x-death", "x-first-death-queue"]), st.lists(deaths, max_size=2) | anything))
def test_whatever_a_publisher_forged_into_the_headers_is_read_without_an_error(headers: dict[str, Any]) -> None:
    death = latest_death(headers)
    assert death is None or isinstance(death.reason, str)
    assert isinstance(was_returned_too_often(headers), bool)
    assert isinstance(comes_marked(headers), bool)
