"""Being there for everybody to see: what this executor can run, and what it learns of the others meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from ratchet.domain.definition import WorkflowDefinition
from ratchet.presence_ports import Presence

log = structlog.get_logger()

EVERY = timedelta(seconds=2)


class BePresent:
    """Fulfils `presence_ports.Catalog`."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._newest: Mapping[str, int] = {}
        self._arrays = 0

    async def arrive(self, definitions: Sequence[WorkflowDefinition], pools: Sequence[str]) -> None:
        """Before the first delivery is taken; raises what the database raises."""
        await self._presence.arrive(definitions, pools)
        await self._beat()

    async def keep(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(EVERY.total_seconds())
            try:
                await self._beat()
            except Exception as error:  # whatever it was, this runs again, and others see meanwhile that nobody answers
                log.warning("presence.not_told", error=type(error).__name__)

    async def leave(self) -> None:
        """No delivery is taken from now on. What cannot be told is seen by the others a little later."""
        try:
            await self._presence.leave()
        except Exception as error:  # nothing may keep a process from ending
            log.warning("presence.not_told", error=type(error).__name__)

    def newest(self, name: str) -> int | None:
        """The version that a start without one gets, as it was at most two seconds ago."""
        return self._newest.get(name)

    async def find(self, name: str, version: int | None) -> WorkflowDefinition | None:
        """A definition that any executor registered."""
        return await self._presence.find(name, version)

    @asynccontextmanager
    async def unpacking(self) -> AsyncIterator[None]:
        """While the block runs everybody may know that starts are in hand here: commands wait for them."""
        self._arrays += 1
        try:
            if self._arrays == 1:
                await self._beat()
            yield
        finally:
            self._arrays -= 1

    async def _beat(self) -> None:
        self._newest = await self._presence.beat(is_unpacking=self._arrays > 0)
