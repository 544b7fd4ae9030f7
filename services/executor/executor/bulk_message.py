"""The message of many starts: how it can be let go before all of them have ended."""

import asyncio
from collections.abc import Awaitable, Callable


class BulkMessage:
    """As long as it is not acknowledged, its members need no leases; some steps outlast what the broker waits for.

    When it is to be let go, every member has to be stored first, and whatever has no place yet goes on by a message of
    its own.
    """

    def __init__(self, acknowledge: Callable[[], Awaitable[None]]) -> None:
        self._acknowledge = acknowledge
        self._hurry = asyncio.Event()
        self._all_stored = asyncio.Event()
        self._unstored: set[int] = set()
        self._is_unpacked = False

    @property
    def is_hurried(self) -> bool:
        """Whether members that have not begun are only stored and sent on."""
        return self._hurry.is_set()

    async def let_go(self) -> None:
        """Returns when the broker was told. Safe to repeat."""
        self._hurry.set()
        await self._all_stored.wait()
        await self._acknowledge()

    def begins(self, member: int) -> None:
        """A member is on its way to the database."""
        self._unstored.add(member)

    def is_stored(self, member: int) -> None:
        """Nothing of it is in the message alone any more. Safe to repeat."""
        self._unstored.discard(member)
        self._look()

    def is_unpacked(self) -> None:
        """All members have begun."""
        self._is_unpacked = True
        self._look()

    async def place(self, slots: asyncio.Semaphore) -> bool:
        """Wait for one of the slots; False if there is a hurry meanwhile, and none was taken."""
        if self.is_hurried:
            return False
        if not slots.locked():
            return await slots.acquire()
        hurry, free = asyncio.create_task(self._hurry.wait()), asyncio.create_task(slots.acquire())
        try:
            await asyncio.wait({hurry, free}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            if not free.done():
                free.cancel()
        await asyncio.wait({free})
        return not free.cancelled()

    def _look(self) -> None:
        if self._is_unpacked and not self._unstored:
            self._all_stored.set()
