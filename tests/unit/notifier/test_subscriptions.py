"""Subscriptions: whatever races with whatever, each gets everything after its cursor, once, in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from notifier.follow_feeds import ROWS_PER_FEED, FollowedFeeds
from notifier.subscribe import PAGE, Delivery, Newest, NotRecovered, Subscription, subscribe
from notifier.tail import KEPT, Tail
from prometheus_client import CollectorRegistry
from ratchet.notifications import Reader
from ratchet.observability.metrics import NotifierMetrics

from tests.unit.notifier.feeds_in_memory import FeedsInMemory, notification

FEED = "user:sarah"
SARAH = Reader(FEED, "sarah")


@asynccontextmanager
async def following(store: FeedsInMemory, *, poll_every: float = 60.0) -> AsyncIterator[FollowedFeeds]:
    metrics = NotifierMetrics(CollectorRegistry())
    followed = FollowedFeeds(store, metrics, poll_every=timedelta(seconds=poll_every))
    running = asyncio.create_task(followed.run())
    try:
        yield followed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def take(subscription: Subscription, count: int) -> list[int]:
    ids: list[int] = []
    async with asyncio.timeout(5):
        while len(ids) < count:
            delivery = await subscription.next()
            assert not isinstance(delivery, NotRecovered)
            ids += [one.seq for one in delivery]
    return ids


async def at_once(subscription: Subscription) -> Delivery:
    async with asyncio.timeout(2):
        return await subscription.next()


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_the_timing_nothing_is_lost_or_doubled_at_the_seam(seed: int) -> None:
    dice = random.Random(seed)
    store = FeedsInMemory(turns=lambda: dice.randrange(6))
    total = 120

    async with following(store) as followed:

        async def publish() -> None:
            while store.newest_number < total:
                store.grow(min(dice.randrange(1, 9), total - store.newest_number))
                newest = store.rows[-1]
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                if dice.random() < 0.5:
                    followed.offer(FEED, newest)
                else:
                    followed.hint([FEED])
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)

        async def follow() -> tuple[int, list[int]]:
            for _ in range(dice.randrange(60)):
                await asyncio.sleep(0)
            after = dice.randrange(store.newest_number + 1)
            subscription = await subscribe(store, followed, reader=SARAH, after=after)
            try:
                return after, await take(subscription, total - after)
            finally:
                subscription.close()

        publishing = asyncio.create_task(publish())
        followers = await asyncio.gather(*(follow() for _ in range(8)))
        await publishing
    for after, ids in followers:
        assert ids == list(range(after + 1, total + 1))


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_a_hint_that_comes_before_the_first_look_is_not_overlooked() -> None:
    store = FeedsInMemory(turns=lambda: 4)
    async with following(store) as followed:
        subscribing = asyncio.create_task(subscribe(store, followed, reader=SARAH, after=None))
        await turn(6)  # the look has been taken, its answer is on the way
        store.grow(1)
        followed.hint([FEED])
        await turn(2)
        assert not subscribing.done()
        assert await take(await subscribing, 1) == [1]


async def test_one_hint_is_enough_however_much_there_is_to_read() -> None:
    store = FeedsInMemory()
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=None)
        await turn(5)
        store.grow(5 * ROWS_PER_FEED + 3)
        followed.hint([FEED])
        assert len(await take(subscription, 5 * ROWS_PER_FEED + 3)) == 5 * ROWS_PER_FEED + 3


async def test_what_is_offered_while_it_is_being_read_does_not_set_the_feed_back() -> None:
    store = FeedsInMemory(turns=lambda: 4)
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=None)
        await turn(30)
        store.grow(2)
        followed.hint([FEED])
        await turn(6)  # two are on their way
        store.grow(1)
        for one in store.rows:
            followed.offer(FEED, one)
        await turn(30)
        async with asyncio.timeout(1):
            assert await take(subscription, 3) == [1, 2, 3]


async def test_an_offer_beyond_what_is_known_makes_the_feed_read_what_is_between() -> None:
    store = FeedsInMemory()
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=None)
        await turn(5)
        store.grow(5)
        followed.offer(FEED, store.rows[-1])
        followed.offer("user:nobody", store.rows[-1])
        assert await take(subscription, 5) == [1, 2, 3, 4, 5]


async def test_a_lost_hint_is_made_up_for_by_the_poll() -> None:
    store = FeedsInMemory()
    async with following(store, poll_every=0.02) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=None)
        store.grow(3)
        assert await take(subscription, 3) == [1, 2, 3]


async def test_an_outage_delays_and_loses_nothing() -> None:
    store = FeedsInMemory()
    async with following(store, poll_every=0.02) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=0)
        store.is_away = True
        store.grow(2)
        followed.hint([FEED])
        await asyncio.sleep(0.05)
        store.is_away = False
        assert await take(subscription, 2) == [1, 2]


async def test_a_subscription_that_cannot_be_opened_leaves_nothing_behind() -> None:
    store = FeedsInMemory(is_away=True)
    async with following(store) as followed:
        with pytest.raises(ConnectionError):
            await subscribe(store, followed, reader=SARAH, after=0)
        store.is_away = False
        assert followed.follow(FEED).followers == 1


async def test_one_read_serves_all_who_follow_a_feed() -> None:
    store = FeedsInMemory()
    async with following(store) as followed:
        subscriptions = [await subscribe(store, followed, reader=SARAH, after=None) for _ in range(50)]
        await asyncio.sleep(0.01)
        before = store.reads
        store.grow(5)
        followed.hint([FEED])
        for ids in await asyncio.gather(*(take(subscription, 5) for subscription in subscriptions)):
            assert ids == [1, 2, 3, 4, 5]
    assert store.reads - before == 1


async def test_who_is_far_behind_reads_pages_from_the_database() -> None:
    store = FeedsInMemory()
    store.grow(3 * PAGE + 7)
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=0)
        assert await take(subscription, 3 * PAGE + 7) == list(range(1, 3 * PAGE + 8))


@pytest.mark.parametrize(
    ("after", "acknowledged", "begins_after", "is_lost"),
    [
        (None, None, 4, False),
        (Newest(), None, 10, False),
        (Newest(), 7, 10, False),
        (None, 7, 7, False),
        (None, 2, 4, True),
        (7, 9, 7, False),
        (4, None, 4, False),
        (3, None, 4, True),
        (0, None, 4, True),
        (10, None, 10, False),
        (11, None, 10, True),
    ],
)
async def test_where_a_subscription_begins(
    after: int | Newest | None, acknowledged: int | None, begins_after: int, *, is_lost: bool
) -> None:
    store = FeedsInMemory()
    store.grow(10)
    store.forget(4)
    if acknowledged is not None:
        store.acknowledged[SARAH] = acknowledged
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=after)
        assert subscription.position == begins_after
        if is_lost:
            assert await at_once(subscription) == NotRecovered(begins_after)
        store.grow(1)
        followed.hint([FEED])
        assert await take(subscription, 11 - begins_after) == list(range(begins_after + 1, 12))


async def test_what_is_pruned_under_a_slow_reader_is_said_to_be_not_recovered() -> None:
    store = FeedsInMemory()
    store.grow(1000)
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=0)
        assert await take(subscription, 1) == list(range(1, PAGE + 1))
        store.forget(600)
        assert await at_once(subscription) == NotRecovered(600)
        assert (await take(subscription, 1))[0] == 601
        store.forget(1000)
        assert await at_once(subscription) == NotRecovered(1000)


async def test_waiting_for_what_comes_next_can_be_given_up_without_losing_it() -> None:
    dice = random.Random(4)
    store = FeedsInMemory(turns=lambda: dice.randrange(4))
    async with following(store) as followed:
        subscription = await subscribe(store, followed, reader=SARAH, after=0)
        got: list[int] = []
        while len(got) < 300:
            if store.newest_number < 300:
                store.grow(3)
                followed.hint([FEED])
            waiting = asyncio.create_task(subscription.next())
            for _ in range(dice.randrange(8)):
                await asyncio.sleep(0)
            waiting.cancel()
            try:
                delivery = await waiting
            except asyncio.CancelledError:
                continue
            assert not isinstance(delivery, NotRecovered)
            got += [one.seq for one in delivery]
        assert got == list(range(1, 301))


def test_a_tail_remembers_only_so_much() -> None:
    tail = Tail(FEED)
    tail.start_at(0)
    for seq in range(1, 10 * KEPT):
        tail.append([notification(seq)])
    newest = 10 * KEPT - 1
    assert [one.seq for one in tail.after(newest - 3) or ()] == [newest - 2, newest - 1, newest]
    assert tail.after(newest) == ()
    assert tail.after(newest + 5) == ()
    assert tail.after(0) is None
    assert len(tail.after(newest - KEPT) or ()) == KEPT


def test_a_tail_with_a_hole_forgets_what_was_before_it() -> None:
    tail = Tail(FEED)
    tail.start_at(0)
    tail.append([notification(1), notification(2)])
    tail.append([notification(9)])
    assert tail.after(1) is None
    assert tail.after(7) is None
    assert [one.seq for one in tail.after(8) or ()] == [9]


async def test_a_feed_that_nobody_follows_any_more_is_forgotten() -> None:
    store = FeedsInMemory()
    async with following(store) as followed:
        first, second = followed.follow(FEED), followed.follow(FEED)
        assert first is second
        followed.unfollow(first)
        assert followed.follow(FEED) is first
        followed.unfollow(first)
        followed.unfollow(first)
        assert followed.follow(FEED) is not first
