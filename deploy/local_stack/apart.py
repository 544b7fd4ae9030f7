"""Runs asynchronous calls from ordinary code, also where an event loop already runs in the same thread."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_apart(call: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine to its end on a loop of its own, in a thread of its own, and answers its result."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, call).result()
