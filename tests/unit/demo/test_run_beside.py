"""Work on another thread's loop can be called off from the main thread, and its own errors come through."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest
from local_stack.demo.beside import run_beside
from local_stack.stop_signals import StopRequested, stop_on_signals


async def test_the_result_comes_back_also_where_a_loop_runs_already() -> None:
    assert run_beside(asyncio.sleep(0, "done")) == "done"


def test_an_error_of_the_work_is_raised_here() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_beside(fail())


def test_a_signal_cancels_the_work_and_is_raised_once_that_has_ended() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def interrupt() -> None:
        begun.wait(5)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with stop_on_signals(), pytest.raises(StopRequested):
        run_beside(work())
    sender.join()
    assert ended.is_set()


def interrupted_starts(monkeypatch: pytest.MonkeyPatch, before: Callable[[], object], *, starts: bool) -> None:
    """A signal comes while a thread is being started, right after `before`."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if starts:
            start(thread)
        before()
        raise StopRequested

    monkeypatch.setattr(threading.Thread, "start", interrupted)


def test_a_signal_that_comes_while_the_thread_is_being_started_cancels_the_work_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    interrupted_starts(monkeypatch, lambda: begun.wait(5), starts=True)
    with pytest.raises(StopRequested):
        run_beside(work())
    assert ended.is_set()


def test_work_whose_thread_never_started_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()

    given = work()
    interrupted_starts(monkeypatch, lambda: None, starts=False)
    with pytest.raises(StopRequested):
        run_beside(given)
    assert not begun.is_set()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        given.send(None)
