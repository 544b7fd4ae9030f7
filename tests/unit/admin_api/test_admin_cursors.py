import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from admin_api import cursors
from admin_api.problems import Problem
from hypothesis import given
from hypothesis import strategies as st

EDGE = (datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC), UUID(int=7))


def _packed(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def test_a_cursor_comes_back_as_the_edge_it_was_made_from() -> None:
    assert cursors.decode(cursors.encode(EDGE, order="failedAt"), order="failedAt") == EDGE


def test_no_edge_means_no_cursor_in_both_directions() -> None:
    assert cursors.encode(None, order="failedAt") is None
    assert cursors.decode(None, order="failedAt") is None
    assert cursors.encode_number(None) is None
    assert cursors.decode_number(None) == 0


def test_a_number_comes_back() -> None:
    assert cursors.decode_number(cursors.encode_number(41)) == 41


def test_a_cursor_of_another_order_is_refused() -> None:
    with pytest.raises(Problem) as refusal:
        cursors.decode(cursors.encode(EDGE, order="failedAt"), order="-failedAt")
    assert refusal.value.status_code == 400


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        "é",
        _packed("failedAt", "yesterday", str(EDGE[1])),
        _packed("failedAt", "0001-01-01T00:00:00+14:00", str(EDGE[1])),
        _packed("failedAt", 5, str(EDGE[1])),
        _packed("failedAt", EDGE[0].isoformat(), "no-uuid"),
        _packed("failedAt", EDGE[0].isoformat(), 5),
        _packed("failedAt"),
        _packed("seq", True),
        _packed("seq", -1),
        _packed("seq", 2**31),
        _packed("seq", "1"),
    ],
)
def test_a_cursor_that_was_not_made_here_is_refused(cursor: str) -> None:
    with pytest.raises(Problem):
        cursors.decode(cursor, order="failedAt")
    with pytest.raises(Problem):
        cursors.decode_number(cursor)


@given(st.text(max_size=60))
def test_no_text_at_all_makes_a_cursor_fail_otherwise(text: str) -> None:
    with pytest.raises(Problem):
        cursors.decode(text, order="failedAt")
    with pytest.raises(Problem):
        cursors.decode_number(text)
