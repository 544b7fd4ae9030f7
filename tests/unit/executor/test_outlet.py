"""Messages leave together, are forgotten once confirmed, and stay in the outbox otherwise."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from executor.outlet import BATCH, LANES, WAITING_LIMIT, Outlet
from ratchet.messages.envelope import Outgoing, Unconfirmed
from ratchet.messages.routes import to_pool
from ratchet.ports import Committed


class Broker:
    """Confirms when it is allowed to, but never the ids it refuses."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.batches: list[list[str]] = []
        self.refused: set[str] = set()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        ids = [message.message_id for message in messages]
        self.batches.append(ids)
        await self.open.wait()
        if refused := self.refused.intersection(ids):
            raise Unconfirmed([ValueError("refused")], frozenset(ids) - refused)


class Rows:
    def __init__(self) -> None:
        self.forgotten: list[int] = []

    async def forget_published(self, outbox_ids: Sequence[int]) -> None:
        self.forgotten.extend(outbox_ids)


def send(outlet: Outlet, *numbers: int) -> None:
    messages = [Outgoing(to_pool("default"), f"m{number}", "t", b"{}", "c") for number in numbers]
    outlet.send(messages, Committed(posted={f"m{number}": number for number in numbers}))


async def test_messages_gather_while_others_are_on_their_way() -> None:
    broker, rows = Broker(), Rows()
    outlet = Outlet(cast("Any", rows), broker)
    for number in range(1, LANES + 1):
        send(outlet, number)
        await asyncio.sleep(0)
    for number in range(100, 100 + BATCH):
        send(outlet, number)
    assert [len(batch) for batch in broker.batches] == [1] * LANES
    broker.open.set()
    await outlet.settle()
    assert [len(batch) for batch in broker.batches] == [1] * LANES + [BATCH]
    assert len(rows.forgotten) == BATCH + LANES


async def test_what_was_not_posted_does_not_leave() -> None:
    broker, rows = Broker(), Rows()
    outlet = Outlet(cast("Any", rows), broker)
    outlet.send([Outgoing(to_pool("default"), "m1", "t", b"{}", "c")], Committed())
    await outlet.settle()
    assert broker.batches == []


async def test_only_what_was_confirmed_is_forgotten() -> None:
    broker, rows = Broker(), Rows()
    broker.open.set()
    broker.refused = {"m2"}
    outlet = Outlet(cast("Any", rows), broker)
    send(outlet, 1, 2, 3)
    await outlet.settle()
    assert sorted(rows.forgotten) == [1, 3]


async def test_a_broker_that_is_away_makes_no_heap_of_messages() -> None:
    broker, rows = Broker(), Rows()
    outlet = Outlet(cast("Any", rows), broker)
    for number in range(WAITING_LIMIT + 5 * BATCH):
        send(outlet, number)
    broker.open.set()
    await outlet.settle()
    assert len(rows.forgotten) == WAITING_LIMIT
