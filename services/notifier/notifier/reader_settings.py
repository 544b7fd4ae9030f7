"""What each reader does not want pushed, kept up to date for whoever is connected here."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from ratchet.notifications import FeedStore, Reader

REFRESH_EVERY = timedelta(seconds=30)
"""A change made at another instance is hinted at; this is for hints that were lost."""

_HINT = "reader "

log = structlog.get_logger()


@dataclass(slots=True)
class LiveSettings:
    """One reader's settings, shared by all of its connections here."""

    muted: frozenset[str]
    connections: int = 0


class ReaderSettings:
    """The settings of everybody connected here."""

    def __init__(self, store: FeedStore) -> None:
        self._store = store
        self._live: dict[Reader, LiveSettings] = {}
        self._changed: set[Reader] = set()
        self._something = asyncio.Event()

    @contextmanager
    def of(self, reader: Reader, *, muted: frozenset[str]) -> Iterator[LiveSettings]:
        """The reader's settings, kept current for as long as the context lasts; `muted` is what was just read."""
        settings = self._live.setdefault(reader, LiveSettings(muted))
        if settings.muted != muted:
            # Changed a moment ago. What was just read is most likely the newer; which one is, another look tells.
            settings.muted = muted
            self._changed.add(reader)
            self._something.set()
        settings.connections += 1
        try:
            yield settings
        finally:
            settings.connections -= 1
            if not settings.connections:
                self._live.pop(reader, None)

    def hint_for(self, reader: Reader) -> str:
        """What to announce to other instances when this reader has changed something."""
        return f"{_HINT}{reader.subject} {reader.feed}"

    def hint(self, hints: Iterable[str]) -> None:
        """Some of these may be about readers here; the others are passed over."""
        heard = {hint for hint in hints if hint.startswith(_HINT)}
        if heard:
            self._changed.update(reader for reader in self._live if self.hint_for(reader) in heard)
            self._something.set()

    async def refresh_forever(self) -> None:
        """Read what has changed, and everything now and then, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(REFRESH_EVERY.total_seconds()):
                    await self._something.wait()
            except TimeoutError:
                self._changed.update(self._live)
            self._something.clear()
            readers, self._changed = self._changed, set()
            try:
                await asyncio.gather(*map(self._refresh, readers))
            except Exception as error:  # an outage; the next round repeats it
                log.warning("reader_settings.not_read", error=f"{type(error).__name__}: {error}")
                self._changed.update(readers)

    async def _refresh(self, reader: Reader) -> None:
        state = await self._store.state(reader)
        settings = self._live.get(reader)
        if settings is not None:
            settings.muted = state.muted
