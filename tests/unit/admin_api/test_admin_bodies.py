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
    ],
)
def test_what_is_not_json_is_a_400(body: bytes) -> None:
    assert _status_of(body) == 400


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"input": {"a": ' + b"9" * 5000 + b"}}", "input.a"),
        (b'{"input": {"a": [1, 1e400]}}', "input.a.1"),
        (b'{"input": {"a": 1e-400}}', "input.a"),
        (b'{"input": {"price": 12345678901234567.89}}', "input.price"),
        (b'{"input": {"a": 1, "a": 2}}', "input.a"),
    ],
)
def test_what_could_not_be_kept_as_it_was_sent_is_a_422_that_names_it(body: bytes, named: str) -> None:
    with pytest.raises(Problem) as refusal:
        parse(body)
    assert refusal.value.status_code == 422
    assert refusal.value.detail.startswith(f"{named}: ")


@pytest.mark.parametrize("depth", [102, 5_000, 200_000])
def test_what_is_nested_too_deep_is_a_422_at_any_depth(depth: int) -> None:
    assert _status_of(b"[" * depth + b"]" * depth) == 422


def test_an_input_of_a_hundred_levels_in_its_body_is_read() -> None:
    assert parse(b"[" * 101 + b"]" * 101)


def test_the_refusal_does_not_repeat_the_body() -> None:
    with pytest.raises(Problem) as refusal:
        parse(b'{"password": "hunter2"')
    assert "hunter2" not in refusal.value.detail
