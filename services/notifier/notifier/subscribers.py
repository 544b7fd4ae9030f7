"""What happens to each event: kept in its feeds, once, then hinted at; what cannot be understood is parked."""

from collections.abc import Callable, Sequence

from ratchet.domain.errors import MalformedMessage
from ratchet.messages.envelope import Incoming, Settlement
from ratchet.notifications import FeedStore
from ratchet.observability.metrics import NotifierMetrics
from ratchet.ports import ParkingLot

from notifier.read_event import read_event


class KeepEvent:
    """Handles one event; safe to repeat for the same one."""

    def __init__(
        self,
        store: FeedStore,
        parking: ParkingLot,
        announce: Callable[[Sequence[str]], None],
        metrics: NotifierMetrics,
    ) -> None:
        self._store = store
        self._parking = parking
        self._announce = announce
        self._metrics = metrics

    async def __call__(self, message: Incoming) -> Settlement:
        """Answer once the event is safe, in its feeds or parked. Raises only for outages."""
        try:
            event = read_event(message)
        except MalformedMessage as error:
            await self._parking.park(message, str(error))
            self._metrics.parked.inc()
            return Settlement.ACK
        if await self._store.store(event):
            self._metrics.stored.labels(event.type.value).inc()
            self._announce(event.feeds)
        else:
            self._metrics.duplicates.inc()
        return Settlement.ACK
