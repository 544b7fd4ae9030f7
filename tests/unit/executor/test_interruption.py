"""Steps are stopped from outside: twice without harm, and before they begin where the claim may be gone."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from executor.holdings import Held, Holdings, Interrupted, Interruption
from executor.loop_clock import LoopClock
from executor.run_step import Heartbeat
from prometheus_client import CollectorRegistry
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim


def held() -> Held:
    return Held(
        Claim(uuid4(), uuid4(), "d", 1, "o", "c", 0, "a", 0, 0, 0, 0, None, "{}"), time.monotonic(), LoopClock()
    )


async def slow_to_stop(on_cancel: Any) -> None:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        on_cancel()
        raise


async def test_a_step_whose_time_is_over_can_be_interrupted() -> None:
    item = held()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01) as item.scope:
            await slow_to_stop(lambda: item.interrupt(Interruption.LOST))
    assert item.interruption is Interruption.LOST


async def test_a_heartbeat_after_the_time_limit_is_no_error() -> None:
    heartbeat = Heartbeat(timedelta(milliseconds=10))

    async def silent() -> None:
        async with asyncio.timeout(None) as scope:
            heartbeat.limit.start(scope)
            await slow_to_stop(heartbeat)

    with pytest.raises(TimeoutError):
        await silent()
    heartbeat.limit.stop()
    heartbeat()


class Leases:
    """A store in which all claims were taken over meanwhile, once it answers."""

    answers = False

    async def extend(self, _pairs: Any) -> set[Any]:
        if not self.answers:
            raise ConnectionError("not now")
        return set()


async def test_a_process_that_stood_still_finds_out_what_it_lost_before_it_begins_a_step() -> None:
    lease = timedelta(milliseconds=300)
    store: Any = Leases()
    holdings = Holdings(store, ExecutorMetrics(CollectorRegistry()), lease=lease)
    with holdings.hold(held().claim, time.monotonic()) as item:
        assert not holdings.is_doubtful(item)
        with holdings.hold(held().claim, time.monotonic() - lease.total_seconds()) as late:
            assert holdings.is_doubtful(late), "whose answer came late may be lost as well"
        await asyncio.sleep(lease.total_seconds() * 0.8)
        assert holdings.is_doubtful(item)
        await holdings.confirm(item)
        assert holdings.is_doubtful(item), "the database did not answer"
        store.answers = True
        with pytest.raises(Interrupted):
            await holdings.confirm(item)
