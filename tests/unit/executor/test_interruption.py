"""Stopping a step that is stopping already changes nothing, and is no error."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from executor.holdings import Held, Interruption
from executor.run_step import Heartbeat
from ratchet.ports import Claim


def held() -> Held:
    return Held(Claim(uuid4(), uuid4(), "d", 1, "o", "c", 0, "a", 0, 0, 0, 0, None, "{}"))


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
    with pytest.raises(TimeoutError):
        async with heartbeat.scope():
            await slow_to_stop(heartbeat)
