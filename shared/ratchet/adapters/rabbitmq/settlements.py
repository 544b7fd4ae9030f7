"""Acknowledging what was delivered, many deliveries at a time."""

import asyncio

import structlog
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError

from ratchet.messages.envelope import Settlement

log = structlog.get_logger()


class Settlements:
    """The deliveries of one channel, on their way back to the broker.

    One frame acknowledges everything up to the first delivery that is still in work, and is one entry in the quorum
    queue's log instead of many. The broker numbers the deliveries of a channel from 1, without gaps.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._last_delivered = 0
        self._in_work: dict[int, None] = {}
        """In the order of their numbers."""
        self._settled: list[tuple[int, Settlement]] = []
        self._task: asyncio.Task[None] | None = None

    def delivered(self, tag: int) -> None:
        """A delivery begins to be worked on. Numbers that were passed over count as in work until they are settled."""
        while self._last_delivered < tag:
            self._last_delivered += 1
            self._in_work[self._last_delivered] = None

    def settle(self, tag: int, settlement: Settlement) -> None:
        """The broker is told, with all others that end in the same moment. Each delivery is settled once."""
        del self._in_work[tag]
        self._settled.append((tag, settlement))
        if self._task is None:
            self._task = asyncio.create_task(self._tell())

    async def told(self) -> None:
        """Wait until everything settled so far is on its way through the socket."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _tell(self) -> None:
        try:
            while self._settled:
                batch, self._settled = self._settled, []
                # Looked at before anything is awaited: what ends meanwhile belongs to the next batch.
                oldest_in_work = next(iter(self._in_work), self._last_delivered + 1)
                await self._tell_all(batch, oldest_in_work)
        except (AMQPError, RuntimeError) as error:
            # The channel is gone, and the broker will deliver them again; the rows will call them stale.
            log.info("messages.settle_failed", error=type(error).__name__)
            self._settled.clear()
        finally:
            self._task = None

    async def _tell_all(self, batch: list[tuple[int, Settlement]], oldest_in_work: int) -> None:
        for tag, settlement in batch:
            if settlement is Settlement.REJECT:
                await self._channel.basic_reject(tag, requeue=False, wait=False)
        done = [tag for tag, settlement in batch if settlement is Settlement.ACK]
        covered = [tag for tag in done if tag < oldest_in_work]
        for tag in done:
            if tag > oldest_in_work:
                await self._channel.basic_ack(tag, wait=False)
        if covered:
            # The number that is named has to be one that the broker still waits for, as all of these are.
            await self._channel.basic_ack(max(covered), multiple=len(covered) > 1, wait=False)
