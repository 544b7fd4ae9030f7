"""The claims this executor holds, and what keeps them: leases extended all at once, steps stopped when one is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim, ExecutionStore
from ratchet.state import decode_state

from executor.delivery import Ending
from executor.loop_clock import LoopClock

log = structlog.get_logger()


class Interruption(Enum):
    """Why a running step is stopped from outside."""

    LOST = auto()
    """Somebody else holds the workflow now, or it was cancelled."""
    STOPPING = auto()
    """The executor ends and its grace period is over."""


class Interrupted(Exception):
    """The step was stopped from outside; it neither succeeded nor failed."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__(interruption.name)
        self.interruption = interruption


class RunningStep(NamedTuple):
    """What runs under a claim just now."""

    definition: WorkflowDefinition
    step: StepDefinition
    started_at: datetime
    limit: timedelta


class Held:
    """A claim in use, with the handle to stop the step that runs under it.

    `good_since` is when the database was last asked whether it holds, in seconds of the monotonic clock.
    """

    def __init__(self, claim: Claim, good_since: float, clock: LoopClock) -> None:
        self.claim = claim
        self.good_since = good_since
        self.state: Any = decode_state(claim.state)
        self.interruption: Interruption | None = None
        self.scope: asyncio.Timeout | None = None
        self.task = asyncio.current_task()
        self.running: RunningStep | None = None
        self.on_commit: Callable[[], None] | None = None
        self.blocked_seconds = 0.0
        """How long its own code kept the event loop, and where that was seen."""
        self.blocked_at = ""
        self._clock = clock

    def lost(self) -> float:
        """Seconds that others have kept the loop since the process began: no time of this step."""
        return self._clock.lost - self.blocked_seconds

    def how_it_blocked(self) -> str:
        """For the reason of a failure; empty for a step that let others run."""
        if not self.blocked_seconds:
            return ""
        return f" (it blocked the event loop for {self.blocked_seconds:.1f} s in {self.blocked_at})"

    def move_to(self, claim: Claim, state: Any) -> None:
        """The claim after a commit, with the state it now stands on."""
        self.claim = claim
        self.state = state

    def interrupt(self, why: Interruption) -> None:
        """Stop the running step, now or before the next one begins."""
        self.interruption = why
        # One that has run out is stopping the step already.
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())

    def require_uninterrupted(self) -> None:
        """Raises Interrupted if somebody asked for it."""
        if self.interruption is not None:
            raise Interrupted(self.interruption)


class Work:
    """What is done in the name of one command, for messages that come back while it is under way."""

    __slots__ = ("_over", "ending", "returns")

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.returns = 0
        self._over: asyncio.Event | None = None

    async def over(self) -> Ending | None:
        """Wait for its end; None means that it ended without an answer, and whoever asks may begin."""
        self.returns += 1
        if self._over is None:
            self._over = asyncio.Event()
        await self._over.wait()
        return self.ending

    def end(self) -> None:
        """Those who wait go on."""
        if self._over is not None:
            self._over.set()


CURRENT: ContextVar[Held] = ContextVar("CURRENT")
"""The claim that a task works under; tasks that a step begins inherit it."""


class Holdings:
    """All claims in use. At shutdown `drain` waits for them."""

    def __init__(self, store: ExecutionStore, metrics: ExecutorMetrics, *, lease: timedelta) -> None:
        self._store = store
        self._metrics = metrics
        self._interval = lease.total_seconds() / 3
        self.clock = LoopClock()
        self.extended_at = time.monotonic()
        """When the leases were last extended by whomever."""
        self._held: dict[UUID, Held] = {}
        self._guarded: dict[UUID, UUID] = {}
        self._reserved: dict[tuple[UUID, str], Work] = {}
        self._asking: asyncio.Task[None] | None = None
        self._deliveries = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.is_draining = False

    @contextmanager
    def hold(self, claim: Claim, asked_at: float) -> Iterator[Held]:
        """Keep the claim's lease extended while the block runs.

        `asked_at`: a moment before the claim was asked for, in seconds of the monotonic clock.
        """
        held = Held(claim, asked_at, self.clock)
        self._held[claim.token] = held
        CURRENT.set(held)
        self._empty.clear()
        self._metrics.running.set(len(self._held))
        try:
            yield held
        finally:
            del self._held[claim.token]
            self._metrics.running.set(len(self._held))
            self._look_whether_empty()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A delivery is worked on, whether or not it holds a claim yet; `drain` waits for it as for a claim."""
        self._deliveries += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._deliveries -= 1
            self._look_whether_empty()

    @asynccontextmanager
    async def guard(self, workflow_id: UUID, token: UUID) -> AsyncIterator[None]:
        """Keep a dead executor's lease extended while its workflow waits here for its turn.

        Else the restart scan would find it forgotten, and send it past the queue it stands in.
        """
        self._guarded[token] = workflow_id
        try:
            await self._extend([(workflow_id, token)])
            yield
        finally:
            del self._guarded[token]

    @contextmanager
    def reserve(self, workflow_id: UUID, command_id: str) -> Iterator["Work | None"]:
        """None for the one task of this process that may act on this command while the block runs.

        For any other one, whose message is a copy or came back after a connection was lost, it is the work that is
        under way: two in one process would fence each other, each running the step.
        """
        key = (workflow_id, command_id)
        under_way = self._reserved.get(key)
        if under_way is not None:
            yield under_way
            return
        work = self._reserved[key] = Work()
        try:
            yield None
        finally:
            del self._reserved[key]
            work.end()

    def ended(self, workflow_id: UUID, command_id: str, ending: Ending) -> Ending:
        """The work that this task reserved ends so, also for those who wait for it."""
        self._reserved[workflow_id, command_id].ending = ending
        return ending

    def _look_whether_empty(self) -> None:
        if not self._held and not self._deliveries:
            self._empty.set()

    def is_doubtful(self, held: Held) -> bool:
        """Whether this process, or the database, stood still for so long that the lease may have run out unnoticed."""
        return held.interruption is None and time.monotonic() - held.good_since > 2 * self._interval

    async def confirm(self, held: Held) -> None:
        """Ask whether a doubtful claim still holds.

        Without it a process that was frozen just before a step would begin it although somebody else has done it
        meanwhile. Raises Interrupted if the claim is lost. When the database does not answer the step goes on: its
        commit will tell.
        """
        # Twice: a question that was under way already may not have been about this claim.
        for _ in range(2):
            if not self.is_doubtful(held):
                break
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self.extend_leases())
            await asyncio.shield(self._asking)
        held.require_uninterrupted()

    async def keep_leases(self) -> None:
        """Extend every lease three times within its length, for ever."""
        while True:
            await asyncio.sleep(self._interval)
            await self.extend_leases()

    async def extend_leases(self) -> None:
        """One statement for all; claims that are gone have their steps stopped."""
        began = time.monotonic()
        held = list(self._held.values())
        kept = await self._extend([(item.claim.workflow_id, item.claim.token) for item in held] + self.guarded())
        if kept is not None:
            self.note_kept(held, kept, began)

    def note_kept(self, asked: Sequence[Held], kept: set[UUID], asked_at: float) -> None:
        """Which of the claims still hold; the others have their steps stopped. To be called in the loop's thread."""
        self.extended_at = max(self.extended_at, asked_at)
        for item in asked:
            if item.claim.token in kept:
                item.good_since = max(item.good_since, asked_at)
            elif item.claim.token in self._held:
                item.interrupt(Interruption.LOST)

    def guarded(self) -> list[tuple[UUID, UUID]]:
        """The claims of dead executors that are kept for a while. May be called from another thread."""
        return [(workflow_id, token) for token, workflow_id in list(self._guarded.items())]

    def in_use(self) -> list[Held]:
        """The claims that are held now. May be called from another thread."""
        return list(self._held.values())

    async def _extend(self, pairs: list[tuple[UUID, UUID]]) -> set[UUID] | None:
        """The tokens that still hold; None when that could not be found out."""
        if not pairs:
            return set()
        try:
            return await self._store.extend(pairs)
        except Exception as error:  # whatever it was, the leases are still good for a while and this runs again soon
            log.warning("leases.not_extended", error=type(error).__name__, claims=len(pairs))
            return None

    async def drain(self, grace: timedelta) -> None:
        """Begin no further step, give running ones `grace`, then stop them; returns when all claims are given back."""
        self.is_draining = True
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._empty.wait()
        except TimeoutError:
            log.warning("shutdown.steps_stopped", steps=len(self._held))
            for item in list(self._held.values()):
                item.interrupt(Interruption.STOPPING)
            async with asyncio.timeout(grace.total_seconds()):
                await self._empty.wait()
