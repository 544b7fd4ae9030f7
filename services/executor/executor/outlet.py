"""Sending what a commit has written to the outbox, right after it."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from ratchet.crash_points import CrashPoint, Reach, nothing_happens
from ratchet.messages.envelope import Outgoing, Unconfirmed
from ratchet.ports import Committed, ExecutionStore, MessagePublisher

log = structlog.get_logger()

BATCH = 200
LANES = 2
WAITING_LIMIT = 10_000
"""Beyond that nothing more is kept in memory; it is in the outbox anyway, and recovery's relay sends it."""


class Outlet:
    """The fast path from the outbox to the broker; recovery's relay is the safe one.

    Nobody waits for it: the row and the outbox say already what has happened, whether or not the broker knows yet. So
    messages gather while others are on their way, and go out together.
    """

    def __init__(self, store: ExecutionStore, publisher: MessagePublisher, reach: Reach = nothing_happens) -> None:
        self._store = store
        self._publisher = publisher
        self._reach = reach
        self._waiting: deque[tuple[int, Outgoing]] = deque()
        self._free_lanes = LANES
        self._lanes: set[asyncio.Task[None]] = set()

    def send(self, outgoing: Sequence[Outgoing], committed: Committed) -> None:
        """Publish what was posted, soon. On failure the outbox rows stay, and the relay sends them: nothing is lost."""
        if not committed.posted:
            return
        if len(self._waiting) >= WAITING_LIMIT:
            log.warning("outbox.left_to_relay", error="too many messages wait", messages=len(committed.posted))
            return
        for message in outgoing:
            if message.message_id in committed.posted:
                self._waiting.append((committed.posted[message.message_id], message))
        if self._free_lanes:
            self._free_lanes -= 1
            lane = asyncio.create_task(self._drain())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def settle(self) -> None:
        """Wait until everything begun was tried; what was not confirmed stays in the outbox."""
        while self._lanes:
            await asyncio.wait(self._lanes)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._publish_or_leave(batch)
        finally:
            self._free_lanes += 1

    async def _publish_or_leave(self, batch: list[tuple[int, Outgoing]]) -> None:
        try:
            await self._publish(batch)
        except Exception as error:  # whatever it was, the committed outbox rows remain for the relay
            log.warning("outbox.left_to_relay", error=type(error).__name__, messages=len(batch))

    async def _publish(self, batch: list[tuple[int, Outgoing]]) -> None:
        try:
            await self._publisher.publish([message for _row, message in batch])
        except Unconfirmed as error:
            log.warning("outbox.left_to_relay", error=str(error), messages=len(batch) - len(error.confirmed))
            batch = [(row, message) for row, message in batch if message.message_id in error.confirmed]
        if batch:
            self._reach(CrashPoint.AFTER_PUBLISH)
            await self._store.forget_published([row for row, _message in batch])
