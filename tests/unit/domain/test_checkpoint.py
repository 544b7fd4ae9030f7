"""A checkpoint is trusted only if its content and its position match the checksum."""

import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ratchet.domain.checkpoint import MAX_DEPTH, MAX_STATE_BYTES, Position, checksum, depth_of, is_intact
from ratchet.domain.errors import StateNotStorable
from ratchet.state import canonical, decode_state, encode_state

WORKFLOW = UUID("11111111-1111-4111-8111-111111111111")
PLACE = Position(WORKFLOW, 3, 2, "ship")

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)


def as_jsonb_gives_it_back(value: Any) -> Any:
    """Postgres' numeric drops exponents and the sign of zero."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: as_jsonb_gives_it_back(value[key]) for key in sorted(value, key=len)}
    if isinstance(value, list):
        return [as_jsonb_gives_it_back(item) for item in value]
    return value


@given(values)
@example([2**63, 0.0])
@example([2**64, 1e22, -0.0])
def test_the_checksum_survives_what_jsonb_does_to_a_value(value: Any) -> None:
    kept = decode_state(encode_state(value).decode())
    assert is_intact(PLACE, canonical(as_jsonb_gives_it_back(kept)), checksum(PLACE, canonical(kept)))


@given(values, values)
def test_another_content_has_another_checksum(one: Any, other: Any) -> None:
    if canonical(one) != canonical(other):
        assert checksum(PLACE, canonical(one)) != checksum(PLACE, canonical(other))


@pytest.mark.parametrize(
    "elsewhere",
    [
        Position(UUID(int=1), 3, 2, "ship"),
        Position(WORKFLOW, 4, 2, "ship"),
        Position(WORKFLOW, 3, 1, "ship"),
        Position(WORKFLOW, 3, 2, "charge"),
    ],
)
def test_a_valid_checkpoint_in_another_place_is_not_intact(elsewhere: Position) -> None:
    assert not is_intact(elsewhere, b"{}", checksum(PLACE, b"{}"))


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"x": math.nan}, "not JSON"),
        ({"x": math.inf}, "not JSON"),
        ({"x": object()}, "not JSON"),
        ({"x": {1, 2}}, "not JSON"),
        ({"x": "a\x00b"}, "NUL"),
        ({"a\x00b": 1}, "NUL"),
        ({"x": "\ud800"}, "surrogate"),
        ("x" * (MAX_STATE_BYTES + 1), "bytes"),
    ],
    ids=["nan", "infinity", "object", "set", "nul", "nul-key", "surrogate", "large"],
)
def test_what_cannot_be_kept_is_refused_with_a_reason(state: Any, why: str) -> None:
    with pytest.raises(StateNotStorable, match=why):
        encode_state(state)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_hundred_levels_are_kept_and_one_more_is_refused() -> None:
    assert depth_of(nested(MAX_DEPTH)) == MAX_DEPTH
    encode_state(nested(MAX_DEPTH))
    with pytest.raises(StateNotStorable, match="deeper"):
        encode_state(nested(MAX_DEPTH + 1))


def test_a_text_that_only_looks_like_an_escaped_nul_is_kept() -> None:
    assert decode_state(encode_state({"x": "\\u0000"}).decode()) == {"x": "\\u0000"}


@given(values)
def test_a_value_reads_back_as_it_was_written(value: Any) -> None:
    assert decode_state(encode_state(value).decode()) == value
