"""A thread that keeps this executor's claims while a step's code blocks the event loop, and that names the step."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from ratchet.authoring import Registry
from ratchet.domain.blocking import Verdict, judge
from ratchet.domain.definition import DEFAULT_POOL
from ratchet.domain.failure import Failure, sanitise
from ratchet.domain.workflow import FailureKind
from ratchet.keeping_ports import ClaimKeeping
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import to_pool
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim

from executor.blockage import Blockage, look
from executor.decide import Turn, after_failure, continue_command, new_id
from executor.holdings import Holdings, Interruption
from executor.loop_clock import LoopClock
from executor.rules import Rules

log = structlog.get_logger()

LOOK_EVERY = 0.25
NOTICE = 0.75
"""A loop that is later than so many seconds is blocked by somebody worth naming."""
STOOD_STILL = 2.0
"""When this thread itself did not run for so long, the whole process stood still, and no step is to blame."""
DATABASE_SECONDS = 5.0
SILENT_THREAD = 15.0
EXIT_BLOCKED = 70

OpenSession = Callable[[], Awaitable[ClaimKeeping]]


def end_process() -> None:
    """At once: what is blocked cannot be asked to end."""
    sys.stderr.flush()
    os._exit(EXIT_BLOCKED)


class KeepClaims:
    """One for each executor. Its session is what others see that this executor lives by."""

    def __init__(
        self,
        *,
        holdings: Holdings,
        clock: LoopClock,
        registry: Registry,
        rules: Rules,
        metrics: ExecutorMetrics,
        open_session: OpenSession,
        lease: timedelta,
        end: Callable[[], None] = end_process,
    ) -> None:
        self._holdings = holdings
        self._clock = clock
        self._registry = registry
        self._rules = rules
        self._metrics = metrics
        self._open_session = open_session
        self._lease = lease
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._session: ClaimKeeping | None = None
        self._blockage: Blockage | None = None
        self._looked_at = time.monotonic()
        self._is_away = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="keep-claims", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread does its work; whether the database answers it is another question."""
        return self._thread.is_alive() and time.monotonic() - self._looked_at < SILENT_THREAD

    @property
    def is_seen(self) -> bool:
        """Whether others can see that this executor lives."""
        return self._session is not None and self._session.stands

    async def start(self, patience: timedelta = timedelta(seconds=5)) -> None:
        """Returns when others can see that this executor lives, or after `patience` without."""
        self._thread.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                while not self.is_seen:  # noqa: ASYNC110  # another thread does it
                    await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """The thread ends, and its session."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, DATABASE_SECONDS)

    def _main(self) -> None:
        asyncio.run(self._keep())

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
                await self._act()
            except Exception as error:  # whatever it is, the claims have to be kept
                self._lose_session(error)
            await asyncio.sleep(LOOK_EVERY)
        if self._session is not None:
            await self._session.close()

    def _look(self) -> None:
        """Who blocks the loop, if anybody does."""
        before, self._looked_at = self._looked_at, time.monotonic()
        stalled = self._clock.stalled
        if stalled < NOTICE or self._looked_at - before > STOOD_STILL:
            if stalled < NOTICE and self._blockage is not None:
                self._report_end(self._blockage)
                self._blockage = None
            return
        seen = look(self._loop, self._loop_thread, self._holdings.in_use(), since=self._looked_at - stalled)
        known = self._blockage
        if known is not None and known.culprit is seen.culprit and known.running is seen.running:
            known.where = seen.where
            self._charge(known, known.seen_again())
            return
        if known is not None:
            self._report_end(known)
            seen.began_at = known.seen_at
        self._blockage = seen
        self._charge(seen, seen.seconds)
        log.warning("loop.blocked", **_facts(seen))

    def _charge(self, blockage: Blockage, seconds: float) -> None:
        self._metrics.loop_blocked.labels(*blockage.labels).inc(seconds)
        if blockage.culprit is not None:
            blockage.culprit.blocked_seconds += seconds
            blockage.culprit.blocked_at = blockage.where

    async def _act(self) -> None:
        async with asyncio.timeout(DATABASE_SECONDS):
            session = self._session
            if session is None or not session.stands:
                session = await self._open()
            # The loop extends leases by itself while it turns.
            if time.monotonic() - self._holdings.extended_at > self._lease.total_seconds() * 0.4:
                await self._extend(session)
            if self._blockage is not None:
                await self._judge(session, self._blockage)

    async def _open(self) -> ClaimKeeping:
        if self._session is not None:
            with suppress(Exception):
                await self._session.close()
        self._session = await self._open_session()
        self._is_away = False
        return self._session

    async def _extend(self, session: ClaimKeeping) -> None:
        asked_at, held = time.monotonic(), self._holdings.in_use()
        kept = await session.extend(
            [(item.claim.workflow_id, item.claim.token) for item in held] + self._holdings.guarded()
        )
        self._holdings.extended_at = asked_at
        self._tell_loop(self._holdings.note_kept, held, kept, asked_at)

    async def _judge(self, session: ClaimKeeping, blockage: Blockage) -> None:
        limit = self._rules.step_timeout if blockage.running is None else blockage.running.limit
        match judge(timedelta(seconds=blockage.seconds), limit=limit, lease=self._lease):
            case Verdict.WAIT:
                pass
            case Verdict.FAIL_STEP:
                await self._fail(session, blockage)
            case Verdict.END_PROCESS:
                await self._fail(session, blockage)
                await self._give_up(session, blockage)

    async def _fail(self, session: ClaimKeeping, blockage: Blockage) -> None:
        culprit, running = blockage.culprit, blockage.running
        if blockage.is_failed or culprit is None or running is None or culprit.running is not running:
            return
        reason = (
            f"EventLoopBlocked: step {running.step.id!r} blocked the event loop for {blockage.seconds:.0f} s in "
            f"{blockage.where}, its time limit is {running.limit.total_seconds():g} s; "
            "write it as a plain `def`, which runs in a thread, or await"
        )
        # Not tried again by itself: each try would stop everything else in its executor once more.
        failure = Failure(FailureKind.PERMANENT, "EventLoopBlocked", sanitise(reason))
        turn = Turn(culprit.claim, running.definition, running.step, running.started_at, datetime.now(UTC), new_id)
        commit = after_failure(turn, failure, self._rules, dead_letter=True)
        if await session.fail(commit):
            self._metrics.steps.labels("failed").inc()
            self._metrics.finished.labels("Failed").inc()
            log.error("step.blocks_loop", reason=failure.reason, **_facts(blockage))
        blockage.is_failed = True
        self._tell_loop(culprit.interrupt, Interruption.LOST)

    async def _give_up(self, session: ClaimKeeping, blockage: Blockage) -> None:
        held = [(item.claim, self._command_for(item.claim)) for item in self._holdings.in_use()]
        handed_back = await session.hand_back(held) if held else 0
        log.critical(
            "executor.given_up",
            handed_back=handed_back,
            advice="the event loop does not come back; the process ends and has to be started again",
            **_facts(blockage),
        )
        self._end()

    def _command_for(self, claim: Claim) -> Outgoing:
        definition = self._registry.find(claim.definition, claim.version)
        step = None if definition is None else definition.step_at(claim.step_index)
        route = to_pool(DEFAULT_POOL if step is None else step.pool)
        return continue_command(claim.workflow_id, new_id(), route, correlation_id=claim.correlation_id)

    def _report_end(self, blockage: Blockage) -> None:
        log.warning("loop.free_again", **_facts(blockage))

    def _tell_loop(self, tell: Callable[..., Any], *args: Any) -> None:
        with suppress(RuntimeError):  # it has closed meanwhile
            self._loop.call_soon_threadsafe(tell, *args)

    def _lose_session(self, error: Exception) -> None:
        if not self._is_away:
            log.warning("claims.keeper_without_database", error=f"{type(error).__name__}: {error}")
        self._is_away = True


def _facts(blockage: Blockage) -> dict[str, Any]:
    definition, step = blockage.labels
    facts = {"definition": definition, "step": step, "at": blockage.where, "seconds": round(blockage.seconds, 1)}
    if blockage.culprit is not None:
        claim = blockage.culprit.claim
        facts |= {"workflow_id": str(claim.workflow_id), "correlation_id": claim.correlation_id}
    return facts
