"""Acknowledgements: only the newest of each reader matters, so they gather while the database is busy or away."""

import asyncio
from datetime import timedelta

import structlog
from ratchet.notifications import FeedStore, Reader

TRY_AGAIN_AFTER = timedelta(seconds=1)
SETTLE_LIMIT = timedelta(seconds=1)

log = structlog.get_logger()


class Acknowledgements:
    """Takes acknowledgements without making anybody wait and writes them soon.

    One that a crash loses costs nothing but a repetition.
    """

    def __init__(self, store: FeedStore) -> None:
        self._store = store
        self._noted: dict[Reader, int] = {}
        self._writing: dict[Reader, int] = {}
        self._something = asyncio.Event()
        self._written = asyncio.Event()

    def note(self, reader: Reader, position: int) -> None:
        """Everything up to `position` has arrived."""
        self._noted[reader] = max(position, self._noted.get(reader, 0))
        self._something.set()

    async def settle(self, reader: Reader) -> None:
        """Wait until what this reader has noted is written, but never long."""
        try:
            async with asyncio.timeout(SETTLE_LIMIT.total_seconds()):
                while reader in self._noted or reader in self._writing:
                    await self._written.wait()
        except TimeoutError:
            return

    async def write_forever(self) -> None:
        """Write what gathers, until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self.flush()
            except Exception as error:  # an outage, most likely; whatever it is, try again later
                log.warning("acknowledgements.not_written", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(TRY_AGAIN_AFTER.total_seconds())
                self._something.set()

    async def flush(self) -> None:
        """Write what has gathered; what cannot be written stays noted. Raises what the database raises."""
        self._writing, self._noted = self._noted, {}
        if not self._writing:
            return
        try:
            await self._store.acknowledge(self._writing)
        except BaseException:
            for reader, position in self._writing.items():
                self._noted[reader] = max(position, self._noted.get(reader, 0))
            raise
        finally:
            self._writing = {}
            self._written.set()
            self._written = asyncio.Event()
