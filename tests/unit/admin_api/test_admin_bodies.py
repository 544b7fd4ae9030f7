import pytest
from admin_api.bodies import parse
from admin_api.problems import Problem


def _status_of(body: bytes) -> int:
    with pytest.raises(Problem) as refusal:
        parse(body)
    return refusal.value.status_code


def test_numbers_keep_every_digit() -> None:
    assert parse(b'{"n": 123456789012345678901234567890}') == {"n": 123456789012345678901234567890}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"\xff\xfe",
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_json_is_a_400(body: bytes) -> None:
    assert _status_of(body) == 400


@pytest.mark.parametrize("depth", [102, 5_000, 200_000])
def test_what_is_nested_too_deep_is_a_422_at_any_depth(depth: int) -> None:
    assert _status_of(b"[" * depth + b"]" * depth) == 422


def test_an_input_of_a_hundred_levels_in_its_body_is_read() -> None:
    assert parse(b"[" * 101 + b"]" * 101)


def test_the_refusal_does_not_repeat_the_body() -> None:
    with pytest.raises(Problem) as refusal:
        parse(b'{"password": "hunter2"')
    assert "hunter2" not in refusal.value.detail
