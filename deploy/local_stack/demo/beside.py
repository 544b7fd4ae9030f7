"""Runs asynchronous work in a thread of its own, so that a signal reaches the main thread and calls it off."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

CallOff = Callable[[], object]

LOOK_EVERY = timedelta(milliseconds=500)
"""A signal that comes just before a thread falls asleep does not wake it, and is heard of at the next look."""


def run_beside(work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Whatever is raised in this thread meanwhile cancels the work, and is raised once it has ended.

    A signal handler that raises would be swallowed by an event loop in the main thread.
    """
    begun: Future[CallOff] = Future()
    outcome: Future[T] = Future()

    async def run() -> T:
        task = asyncio.create_task(work)
        begun.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel))
        return await task

    def run_all() -> None:
        if not begun.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(asyncio.run(run()))
        except BaseException as error:  # it is raised in the other thread, whatever it is
            outcome.set_exception(error)

    try:
        # Also the start can be interrupted, before or after the thread has begun.
        Thread(target=run_all).start()
        while not wait([outcome], timeout=LOOK_EVERY.total_seconds()).done:
            pass
        return outcome.result()
    except BaseException:
        if begun.cancel():
            work.close()
        else:
            _call_off(begun, outcome)
        raise


def _call_off(begun: Future[CallOff], outcome: Future[T]) -> None:
    either: list[Future[Any]] = [begun, outcome]
    wait(either, return_when=FIRST_COMPLETED)
    if begun.done():
        with suppress(RuntimeError):  # the loop is closed already: the work itself failed
            begun.result()()
    wait([outcome])
