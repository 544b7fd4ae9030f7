"""A traceback shows whoever wrote the step where it went wrong: their frames, the chain, no secrets, not too long."""

from typing import Any

from ratchet.domain.failure import classify
from ratchet.domain.frames import MAX_TRACEBACK, frames_only, traceback_of


def caught(act: Any) -> BaseException:
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("it should have raised")


def book(order: dict[str, Any]) -> int:
    return order["lines"][3]


def reserve() -> None:
    try:
        book({"lines": []})
    except IndexError as error:
        raise RuntimeError("could not book, password=hunter2") from error


def test_it_names_file_line_and_function_of_each_error_in_the_chain() -> None:
    text = classify(caught(reserve)).traceback
    assert text is not None
    outer, inner = text.split("\n\nCaused by:\n")
    wanted = ((outer, "reserve", "RuntimeError: could not book"), (inner, "book", "IndexError: list"))
    for part, function, told in wanted:
        assert 'test_frames.py", line ' in part
        assert f", in {function}\n" in part
        assert told in part.splitlines()[-1]


def test_credentials_and_locals_are_not_in_it() -> None:
    text = traceback_of(caught(reserve))
    assert text is not None
    assert "hunter2" not in text
    assert "lines" not in text


def test_an_endless_recursion_with_an_endless_text_is_cut_in_the_middle() -> None:
    def again(number: int) -> None:
        again(number + 1)

    deep = traceback_of(caught(lambda: again(0)))
    assert deep is not None
    assert len(deep) <= MAX_TRACEBACK
    assert "more" in deep

    def shout() -> None:
        raise ValueError("x" * 10**6) from ValueError("y" * 10**6)

    loud = traceback_of(caught(shout))
    assert loud is not None
    assert len(loud) <= MAX_TRACEBACK


def test_an_error_without_frames_of_the_author_has_none() -> None:
    assert classify(ValueError("never raised")).traceback is None


def test_an_error_that_cannot_be_read_still_shows_where_it_came_from() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise SystemExit

    def speak() -> None:
        raise Unspeakable

    text = traceback_of(caught(speak))
    assert text is not None
    assert ", in speak" in text
    assert "(its text could not be read: SystemExit)" in text


def test_what_goes_into_the_log_has_the_frames_and_not_what_the_errors_said() -> None:
    logged = frames_only(traceback_of(caught(reserve)))
    assert logged is not None
    assert ", in book" in logged
    assert "could not book" not in logged
    assert frames_only(None) is None
