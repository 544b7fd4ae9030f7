"""What happens to each event: kept in its feeds, once, then hinted at; what cannot be understood is parked."""

from collections.abc import Callable, Sequence

from ratchet.domain.errors import MalformedMessage
from ratchet.messages.envelope import Incoming, Settlement
from ratchet.messages.events import EventType
from ratchet.notifications import FeedStore, Notification
from ratchet.observability.metrics import NotifierMetrics, begin
from ratchet.ports import ParkingLot

from notifier.follow_feeds import FollowedFeeds
from notifier.read_event import read_event


class KeepEvent:
    """Handles one event; safe to repeat for the same one. `announce` tells the other notifiers."""

    def __init__(
        self,
        *,
        store: FeedStore,
        parking: ParkingLot,
        followed: FollowedFeeds,
        announce: Callable[[Sequence[str]], None],
        metrics: NotifierMetrics,
    ) -> None:
        self._store = store
        self._followed = followed
        self._parking = parking
        self._announce = announce
        self._metrics = metrics
        begin(metrics.stored, EventType)

    async def __call__(self, message: Incoming) -> Settlement:
        """Answer once the event is safe, in its feeds or parked. Raises only for outages."""
        try:
            event = read_event(message)
        except MalformedMessage as error:
            await self._parking.park(message, str(error))
            return Settlement.ACK
        numbers = await self._store.store(event)
        if not numbers:
            self._metrics.duplicates.inc()
            return Settlement.ACK
        self._metrics.stored.labels(event.type.value).inc()
        for feed, seq in numbers.items():
            self._followed.offer(feed, Notification(seq, event.type.value, event.occurred_at, event.data))
        self._announce(list(numbers))
        return Settlement.ACK
