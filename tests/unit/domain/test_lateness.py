"""Late retries are told anew seldom: each time twice as late as before."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.lateness import FIRST_TOLD_AFTER, promised_after, stage_of

DUE = datetime(2026, 1, 1, tzinfo=UTC)
LATE = st.timedeltas(min_value=FIRST_TOLD_AFTER, max_value=timedelta(days=30))


def test_the_stages_begin_when_the_lateness_has_doubled() -> None:
    seconds = [0, 9.9, 10, 19.9, 20, 39.9, 40, 100]
    assert [stage_of(timedelta(seconds=late)) for late in seconds] == [0, 0, 1, 1, 2, 2, 3, 4]


@given(LATE)
def test_the_time_that_is_told_lies_ahead_and_its_end_is_the_next_word(late_by: timedelta) -> None:
    stage = stage_of(late_by)
    told = promised_after(DUE, stage)
    assert told > DUE + late_by
    assert told <= DUE + 2 * late_by + timedelta(milliseconds=1)
    assert stage_of(told - DUE) == stage + 1
