"""Every delivery is settled once, none before its time, and many with one frame."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any, cast

from aiormq.exceptions import ChannelInvalidStateError
from hypothesis import given
from hypothesis import strategies as st
from ratchet.adapters.rabbitmq.settlements import Settlements
from ratchet.messages.envelope import Settlement


@dataclass
class Broker:
    """One channel as RabbitMQ keeps it: a number that it does not wait for closes the channel."""

    waits_for: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    frames: int = 0
    is_closed: bool = False

    async def basic_ack(self, delivery_tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        self._frame(delivery_tag, wait=wait)
        settled = {tag for tag in self.waits_for if tag <= delivery_tag} if multiple else {delivery_tag}
        self.waits_for -= settled
        self.acknowledged |= settled

    async def basic_reject(self, delivery_tag: int, *, requeue: bool = True, wait: bool = True) -> None:
        self._frame(delivery_tag, wait=wait or requeue)
        self.waits_for.discard(delivery_tag)
        self.rejected.add(delivery_tag)

    def _frame(self, tag: int, *, wait: bool) -> None:
        if self.is_closed:
            raise ChannelInvalidStateError("closed")
        assert not wait, "waiting for the socket would let one frame pass at a time"
        assert tag in self.waits_for, f"unknown delivery tag {tag}"
        self.frames += 1


def settlements_of(broker: Broker, deliveries: int) -> Settlements:
    settlements = Settlements(cast("Any", broker))
    for tag in range(1, deliveries + 1):
        broker.waits_for.add(tag)
        settlements.delivered(tag)
    return settlements


bursts = st.lists(st.lists(st.booleans(), max_size=6), min_size=1, max_size=6)


@given(bursts, st.randoms())
def test_in_any_order_exactly_the_settled_ones_are_settled(plan: list[list[bool]], order: Any) -> None:
    async def scenario() -> None:
        broker = Broker()
        total = sum(map(len, plan)) + 3
        settlements = settlements_of(broker, total)
        tags = list(range(1, total + 1))
        order.shuffle(tags)
        acknowledged, rejected = set(), set()
        for burst in plan:
            for is_done in burst:
                tag = tags.pop()
                (acknowledged if is_done else rejected).add(tag)
                settlements.settle(tag, Settlement.ACK if is_done else Settlement.REJECT)
            await settlements.told()
            assert (broker.acknowledged, broker.rejected) == (acknowledged, rejected)
            assert broker.waits_for == set(tags)

    asyncio.run(scenario())


async def test_what_ends_in_the_same_moment_is_one_frame() -> None:
    broker = Broker()
    settlements = settlements_of(broker, 100)
    for tag in range(1, 101):
        settlements.settle(tag, Settlement.ACK)
    await settlements.told()
    assert (broker.frames, len(broker.acknowledged)) == (1, 100)


async def test_a_delivery_in_work_holds_nobody_up() -> None:
    broker = Broker()
    settlements = settlements_of(broker, 4)
    for tag in (2, 3, 4):
        settlements.settle(tag, Settlement.ACK)
    await settlements.told()
    assert broker.waits_for == {1}


async def test_a_delivery_that_was_passed_over_is_not_acknowledged_with_its_neighbours() -> None:
    broker = Broker(waits_for={1, 2})
    settlements = Settlements(cast("Any", broker))
    settlements.delivered(2)
    settlements.settle(2, Settlement.ACK)
    await settlements.told()
    assert broker.waits_for == {1}


async def test_what_ends_while_frames_are_written_waits_for_the_next_batch() -> None:
    class SlowBroker(Broker):
        async def basic_reject(self, delivery_tag: int, *, requeue: bool = True, wait: bool = True) -> None:
            await super().basic_reject(delivery_tag, requeue=requeue, wait=wait)
            if delivery_tag == 1:
                settlements.settle(2, Settlement.REJECT)
            await asyncio.sleep(0)

    broker = SlowBroker()
    settlements = settlements_of(broker, 4)
    settlements.settle(1, Settlement.REJECT)
    for tag in (3, 4):
        settlements.settle(tag, Settlement.ACK)
    await settlements.told()
    assert (broker.acknowledged, broker.rejected) == ({3, 4}, {1, 2})


async def test_a_closed_channel_is_no_error() -> None:
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: troubles.append(context))
    broker = Broker(is_closed=True)
    settlements = settlements_of(broker, 3)
    settlements.settle(1, Settlement.ACK)
    await settlements.told()
    settlements.settle(2, Settlement.REJECT)
    await settlements.told()
    broker.is_closed = False
    settlements.settle(3, Settlement.ACK)
    await settlements.told()
    gc.collect()
    assert troubles == []
    assert broker.acknowledged == {3}, "what was settled on the closed channel is not told later"
