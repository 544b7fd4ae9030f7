"""Threads for steps that are plain functions: a free one for each, and an eye on those that hang."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

import structlog
from ratchet.observability.metrics import ExecutorMetrics

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Call:
    """One function on its way through a thread."""

    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    outcome: "asyncio.Future[Any]"
    name: str
    began_at: float = field(default_factory=time.monotonic)


class StepThreads:
    """Runs plain functions, each in a thread of its own, at once.

    There are as many threads as steps run, so nothing queues while a step's time limit runs. A thread cannot be
    stopped: one whose step was given up hangs until its function returns, and is counted and named meanwhile. From
    `limit` hanging ones on nothing new should be taken in; `changed` is set whenever their number changes.

    Threads are daemons: a hanging one does not keep the process from ending.
    """

    def __init__(self, metrics: ExecutorMetrics, *, limit: int) -> None:
        self._metrics = metrics
        self._limit = limit
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._hanging: set[_Call] = set()
        self.changed = asyncio.Event()

    @property
    def hanging(self) -> int:
        """Threads whose step was given up and whose function has not returned."""
        return len(self._hanging)

    @property
    def too_many_hang(self) -> bool:
        """Whether nothing new should be begun in this process."""
        return self.hanging >= self._limit

    def why_not_ready(self) -> str | None:
        """For people, when too many threads hang."""
        if not self.too_many_hang:
            return None
        return f"{self.hanging} threads hang in {', '.join(self._names())}; restart this executor"

    async def run(self, definition: str, step: str, function: Callable[..., Any], *args: Any) -> Any:
        """What the function returns or raises. When cancelled, the thread is left behind."""
        loop = asyncio.get_running_loop()
        code = partial(contextvars.copy_context().run, function, *args)
        call = _Call(code, loop, loop.create_future(), f"{definition}.{step}")
        self._unfinished += 1
        if self._unfinished > self._threads:
            self._threads += 1
            threading.Thread(target=self._work, name=f"step-{self._threads}", daemon=True).start()
        self._calls.put(call)
        with self._left_behind(call):
            return await call.outcome

    @contextmanager
    def _left_behind(self, call: _Call) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            # One that has finished in this very moment has said so already.
            if call.outcome.cancelled():
                self._hanging.add(call)
                log.warning("thread.hangs", step=call.name, seconds=self._age(call), hanging=self.hanging)
                self._tell()
            raise

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            result: Any = None
            error: BaseException | None = None
            try:
                result = call.run()
            except (StopIteration, GeneratorExit) as odd:  # whoever awaits a future is ended by these, not told of them
                error = RuntimeError(f"the step raised {type(odd).__name__}({odd})")
            except BaseException as raised:  # whatever it is, it belongs to the step
                error = raised
            with suppress(RuntimeError):  # the loop has closed meanwhile
                call.loop.call_soon_threadsafe(self._finish, call, result, error)
            del call, result, error

    def _finish(self, call: _Call, result: Any, error: BaseException | None) -> None:
        self._unfinished -= 1
        if call in self._hanging:
            self._hanging.discard(call)
            log.info("thread.returned", step=call.name, seconds=self._age(call), hanging=self.hanging)
            self._tell()
        elif call.outcome.done():
            return
        elif error is not None:
            call.outcome.set_exception(error)
        else:
            call.outcome.set_result(result)

    def _tell(self) -> None:
        self._metrics.hanging_threads.set(self.hanging)
        self.changed.set()

    def _names(self) -> list[str]:
        return sorted({call.name for call in self._hanging})

    @staticmethod
    def _age(call: _Call) -> float:
        return round(time.monotonic() - call.began_at, 1)
