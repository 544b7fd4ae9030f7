"""What is remembered of readers: acknowledgements, what they have muted, and tickets."""

import asyncio
from datetime import timedelta

import pytest
from notifier.acknowledge import Acknowledgements
from notifier.reader_settings import ReaderSettings
from notifier.tickets import KEPT_FOR, Tickets
from ratchet.notifications import Reader

from tests.unit.notifier.feeds_in_memory import FeedsInMemory

SARAH = Reader("user:sarah", "sarah")
KIM = Reader("all", "kim")
NAMELESS = Reader("user:a b", "a b")


async def test_of_many_acknowledgements_the_highest_is_written() -> None:
    store = FeedsInMemory()
    store.grow(100)
    acknowledgements = Acknowledgements(store)
    for position in (5, 90, 17):
        acknowledgements.note(SARAH, position)
    acknowledgements.note(KIM, 3)
    await acknowledgements.flush()
    assert store.acknowledged == {SARAH: 90, KIM: 3}


async def test_acknowledgements_wait_out_an_outage() -> None:
    store = FeedsInMemory(is_away=True)
    store.grow(9)
    acknowledgements = Acknowledgements(store)
    acknowledgements.note(SARAH, 4)
    with pytest.raises(ConnectionError):
        await acknowledgements.flush()
    acknowledgements.note(SARAH, 2)
    store.is_away = False
    await acknowledgements.flush()
    assert store.acknowledged == {SARAH: 4}


async def test_settling_waits_for_what_was_noted_and_not_for_others() -> None:
    store = FeedsInMemory(turns=lambda: 5)
    store.grow(9)
    acknowledgements = Acknowledgements(store)
    writing = asyncio.create_task(acknowledgements.write_forever())
    acknowledgements.note(SARAH, 4)
    await acknowledgements.settle(KIM)
    assert SARAH not in store.acknowledged
    await acknowledgements.settle(SARAH)
    assert store.acknowledged == {SARAH: 4}
    writing.cancel()


async def test_changed_settings_reach_open_connections_by_a_hint() -> None:
    store = FeedsInMemory()
    settings = ReaderSettings(store)
    refreshing = asyncio.create_task(settings.refresh_forever())
    with settings.of(SARAH, muted=frozenset()) as sarah, settings.of(NAMELESS, muted=frozenset()) as nameless:
        await store.mute(SARAH, {"WORKFLOW_PAUSED"})
        await store.mute(NAMELESS, {"WORKFLOW_RESUMED"})
        settings.hint(["user:sarah", settings.hint_for(SARAH), settings.hint_for(KIM)])
        async with asyncio.timeout(2):
            while not sarah.muted:  # noqa: ASYNC110  # another task sets it
                await asyncio.sleep(0)
        assert sarah.muted == {"WORKFLOW_PAUSED"}
        assert not nameless.muted
        with settings.of(SARAH, muted=frozenset()) as again:
            assert again is sarah
    refreshing.cancel()


class Shelf:
    """Fulfils `OneTimeStore`."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def put(self, key: str, value: str, *, kept_for: timedelta) -> None:
        assert kept_for == KEPT_FOR
        self.values[key] = value

    async def take(self, key: str) -> str | None:
        return self.values.pop(key, None)


async def test_a_ticket_stands_for_its_token_once() -> None:
    tickets = Tickets(Shelf())
    first, second = await tickets.issue("token-1"), await tickets.issue("token-2")
    assert first != second
    assert await tickets.redeem(second) == "token-2"
    assert await tickets.redeem(second) is None
    assert await tickets.redeem(first) == "token-1"


async def test_what_was_tampered_with_is_worth_nothing() -> None:
    shelf = Shelf()
    tickets = Tickets(shelf)
    ticket, other = await tickets.issue("token-1"), await tickets.issue("token-2")
    names = list(shelf.values)
    shelf.values[names[0]] = shelf.values[names[1]]
    assert await tickets.redeem(ticket) is None
    shelf.values[names[1]] = "x"
    assert await tickets.redeem(other) is None
    for made_up in ("", "x", "\ud800", "x" * 101):
        assert await tickets.redeem(made_up) is None


async def test_a_new_connection_brings_what_was_just_read_to_the_others_of_its_reader() -> None:
    """The change was stored, and its hint has not arrived here yet."""
    store = FeedsInMemory()
    settings = ReaderSettings(store)
    muted = frozenset({"WORKFLOW_STEP_RETRYING"})
    await store.mute(SARAH, muted)
    with settings.of(SARAH, muted=muted) as earlier:
        await store.mute(SARAH, [])
        with settings.of(SARAH, muted=frozenset()) as later:
            assert later.muted == earlier.muted == frozenset()


async def test_what_was_read_before_a_change_gives_way_to_the_change() -> None:
    store = FeedsInMemory()
    settings = ReaderSettings(store)
    refreshing = asyncio.create_task(settings.refresh_forever())
    with settings.of(SARAH, muted=frozenset()), settings.of(SARAH, muted=frozenset({"WORKFLOW_COMPLETED"})) as live:
        async with asyncio.timeout(5):
            while live.muted:  # noqa: ASYNC110  # what is waited for is a value, not an event
                await asyncio.sleep(0)
    refreshing.cancel()
