"""Turns the signals that end a foreground program into one orderly end."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Somebody asked this program to end (Ctrl-C, `kill`, a closed terminal). No `except Exception` may take it."""


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raises StopRequested in the main thread at the first such signal; later ones do not disturb the clean-up."""
    before = {number: signal.getsignal(number) for number in ENDING}

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise StopRequested

    for number in ENDING:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def terminal_watch() -> Callable[[], bool]:
    """Answers a question: is the terminal that we were started on gone?

    Closing a terminal signals only the first process on it; where that is `make`, it keeps the signal to itself.
    """
    try:
        started_on_terminal = os.isatty(0)
    except OSError:
        started_on_terminal = False
    if not started_on_terminal:
        return lambda: False
    watch = select.poll()
    watch.register(0, 0)
    return lambda: any(event & (select.POLLHUP | select.POLLERR) for _, event in watch.poll(0))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Holds such signals back while something must be finished."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
