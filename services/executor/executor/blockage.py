"""Who keeps the event loop: seen from another thread."""

import asyncio
import sys
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from types import FrameType

from executor.holdings import CURRENT, Held, RunningStep

_LIBRARIES = tuple(
    {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {"<frozen"}
)


@dataclass(slots=True)
class Blockage:
    """One piece of code that keeps the loop. `culprit` and `running` are unknown for code outside of steps' tasks."""

    culprit: Held | None
    running: RunningStep | None
    where: str
    began_at: float
    seen_at: float = field(default_factory=time.monotonic)
    is_failed: bool = False

    @property
    def seconds(self) -> float:
        """How long it was seen to block, so far."""
        return self.seen_at - self.began_at

    @property
    def labels(self) -> tuple[str, str]:
        """Definition and step, for metrics and logs."""
        if self.running is None:
            return ("unknown", "unknown")
        return (self.running.definition.name, self.running.step.id)

    def seen_again(self) -> float:
        """It still blocks; the seconds since it was seen last."""
        now = time.monotonic()
        passed, self.seen_at = now - self.seen_at, now
        return passed


def look(loop: asyncio.AbstractEventLoop, loop_thread: int, held: Iterable[Held], *, since: float) -> Blockage:
    """What the loop's thread does just now; `since` is the moment, of the monotonic clock, when it began to block."""
    task = asyncio.current_task(loop)
    culprit = None if task is None else _holder(task, held)
    frame = sys._current_frames().get(loop_thread)  # noqa: SLF001  # documented, and the only way
    where = "unknown" if frame is None else place(frame)
    return Blockage(culprit, None if culprit is None else culprit.running, where, since)


def _holder(task: "asyncio.Task[object]", held: Iterable[Held]) -> Held | None:
    # A step's own tasks carry its context; what Python before 3.12 cannot tell of them stays unknown.
    context = task.get_context() if hasattr(task, "get_context") else None
    carried = None if context is None else context.get(CURRENT)
    return carried or next((item for item in held if item.task is task), None)


def place(frame: FrameType) -> str:
    """The author's line: the innermost one that is in no library."""
    here: FrameType | None = frame
    while here is not None and here.f_code.co_filename.startswith(_LIBRARIES):
        here = here.f_back
    named = here or frame
    return f"{named.f_code.co_qualname} ({PurePath(named.f_code.co_filename).name}:{named.f_lineno})"
