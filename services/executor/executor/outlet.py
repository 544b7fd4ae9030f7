"""Sending what a commit has written to the outbox, right after it."""

import asyncio
from collections.abc import Sequence

import structlog
from ratchet.messages.envelope import Outgoing
from ratchet.ports import Committed, ExecutionStore, MessagePublisher

log = structlog.get_logger()


class Outlet:
    """The fast path from the outbox to the broker; recovery's relay is the safe one."""

    def __init__(self, store: ExecutionStore, publisher: MessagePublisher) -> None:
        self._store = store
        self._publisher = publisher
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, outgoing: Sequence[Outgoing], committed: Committed) -> None:
        """Publish what was posted. On failure the outbox rows stay, and the relay sends them: nothing is lost."""
        messages = [message for message in outgoing if message.message_id in committed.posted]
        if not messages:
            return
        try:
            await self._publisher.publish(messages)
        except Exception as error:  # whatever it was, the committed outbox rows remain for the relay
            log.warning("outbox.left_to_relay", error=type(error).__name__, messages=len(messages))
            return
        self._forget([committed.posted[message.message_id] for message in messages])

    def send_soon(self, outgoing: Sequence[Outgoing], committed: Committed) -> None:
        """Publish what was posted while the workflow goes on: nothing waits for it, and the outbox holds it."""
        if committed.posted:
            self._keep(asyncio.create_task(self.send(outgoing, committed)))

    async def settle(self) -> None:
        """Wait until everything begun is published, and out of the outbox."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, outbox_ids: list[int]) -> None:
        # Nobody needs to wait for this: a row that stays is published once more and recognised as known.
        self._keep(asyncio.create_task(self._store.forget_published(outbox_ids)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("outbox.left_to_relay", error=type(error).__name__)
