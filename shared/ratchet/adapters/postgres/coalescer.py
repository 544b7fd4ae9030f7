"""Natural batching: while one statement is in flight the next calls gather, and the next statement takes them all."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ratchet.domain.trouble import is_outage

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Run = Callable[[list[Item]], Awaitable[Sequence[Answer]]]


class Coalescer(Generic[Item, Answer]):
    """Turns concurrent single calls into batches. No timer: a lone call pays no delay.

    `run` gets 1 to `limit` items and returns one answer for each, in order. Two items with the same `key` never share
    a batch, because a set-based statement could not tell them apart.
    """

    def __init__(self, run: Run[Item, Answer], *, key: Callable[[Item], object], limit: int, lanes: int = 1) -> None:
        self._run = run
        self._key = key
        self._limit = limit
        self._free_lanes = lanes
        # Kept, because up to Python 3.11 asking for it is a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """Add one item and wait for its answer; raises what the statement raised for it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((item, future))
        if self._free_lanes:
            self._free_lanes -= 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._run_batch(self._next_batch())
        finally:
            self._free_lanes += 1

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        keys: set[object] = set()
        put_off: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._limit:
            entry = self._waiting.popleft()
            key = self._key(entry[0])
            if key in keys:
                put_off.append(entry)
            else:
                keys.add(key)
                batch.append(entry)
        self._waiting.extendleft(reversed(put_off))
        return batch

    async def _run_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._run([item for item, _future in batch])
            for (_item, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except Exception as error:  # every waiting caller has to hear of it
            if len(batch) == 1 or is_outage(error):
                _fail(batch, error)
                return
            # Perhaps one member is to blame: its neighbours are run again without it.
            middle = len(batch) // 2
            await self._run_batch(batch[:middle])
            await self._run_batch(batch[middle:])
        except BaseException:
            _fail(batch, ConnectionError("the batch was cancelled"))
            raise


def _fail(batch: list[tuple[Item, asyncio.Future[Answer]]], error: Exception) -> None:
    for _item, future in batch:
        if not future.done():
            future.set_exception(error)
