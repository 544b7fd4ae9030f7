"""Runs asynchronous work in a thread of its own, so that a signal reaches the main thread and calls it off."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run_beside(work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Whatever is raised in this thread meanwhile cancels the work, and is raised once it has ended.

    A signal handler that raises would be swallowed by an event loop in the main thread.
    """
    handle: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = Future()

    async def run() -> T:
        task = asyncio.create_task(work)
        handle.set_result((asyncio.get_running_loop(), task))
        return await task

    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(asyncio.run, run())
        try:
            return running.result()
        except BaseException:
            loop, task = handle.result()
            with suppress(RuntimeError):  # the loop is closed already: the work itself failed
                loop.call_soon_threadsafe(task.cancel)
            raise
