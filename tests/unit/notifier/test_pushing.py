"""Pushing a long past: in pieces that a slow reader can take, and without keeping the database from what is new."""

import asyncio
from datetime import timedelta

from notifier.acknowledge import Acknowledgements
from notifier.connections import Connection
from notifier.follow_feeds import CATCHING_UP_AT_ONCE, FollowedFeeds
from notifier.push import PIECE, Pusher, Pushing
from notifier.reader_settings import ReaderSettings
from notifier.subscribe import Delivery, NotRecovered, subscribe
from prometheus_client import CollectorRegistry
from ratchet.notifications import Notification, Reader
from ratchet.observability.metrics import NotifierMetrics

from tests.unit.notifier.feeds_in_memory import FeedsInMemory

SARAH = Reader("user:sarah", "sarah")
KEPT = 1000


async def test_each_piece_of_a_long_past_has_the_whole_time_limit_for_itself() -> None:
    store = FeedsInMemory()
    store.grow(KEPT)
    metrics = NotifierMetrics(CollectorRegistry())
    followed = FollowedFeeds(store, metrics)
    subscription = await subscribe(store, followed, reader=SARAH, after=None)
    task = asyncio.current_task()
    assert task is not None
    connection = Connection("websocket", task)
    began: list[float | None] = []
    got: list[int] = []
    complete = asyncio.Event()

    async def send(delivery: Delivery) -> None:
        assert not isinstance(delivery, NotRecovered)
        assert len(delivery) <= PIECE
        began.append(connection.sending_since)
        got.extend(one.seq for one in delivery)
        if len(got) == KEPT:
            complete.set()
        await asyncio.sleep(0.001)

    pushing = Pushing(store, followed, ReaderSettings(store), Acknowledgements(store), metrics)
    async with Pusher(pushing, subscription, connection, send=send, keep_alive=timedelta(seconds=5)) as pusher:
        pusher.start()
        async with asyncio.timeout(5):
            await complete.wait()
    assert got == list(range(1, KEPT + 1))
    assert None not in began
    assert len(set(began)) == len(began)


class CrowdedFeeds(FeedsInMemory):
    """Counts how many pages are read at the same time."""

    reading = 0
    most = 0

    async def read(self, feed: str, *, after: int, limit: int) -> list[Notification]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0)
        self.reading -= 1
        return await super().read(feed, after=after, limit=limit)


async def test_a_crowd_that_comes_back_reads_its_past_a_few_at_a_time() -> None:
    store = CrowdedFeeds()
    store.grow(KEPT)
    followed = FollowedFeeds(store, NotifierMetrics(CollectorRegistry()))
    crowd = [await subscribe(store, followed, reader=SARAH, after=None) for _ in range(50)]
    async with asyncio.timeout(5):
        first = await asyncio.gather(*(one.next() for one in crowd))
    assert len(first) == 50
    assert store.most == CATCHING_UP_AT_ONCE
