"""The message of many starts is let go when all of them are stored, and not before."""

import asyncio

from executor.bulk_message import BulkMessage


class Broker:
    acknowledged = 0

    async def acknowledge(self) -> None:
        self.acknowledged += 1


async def test_it_is_let_go_when_the_last_member_is_stored() -> None:
    broker = Broker()
    message = BulkMessage(broker.acknowledge)
    for member in range(2):
        message.begins(member)
    asked = asyncio.create_task(message.let_go())
    await asyncio.sleep(0)
    message.is_stored(0)
    message.is_stored(1)
    await asyncio.sleep(0)
    assert not broker.acknowledged, "more may come"
    message.begins(2)
    message.is_unpacked()
    await asyncio.sleep(0)
    assert not broker.acknowledged
    message.is_stored(2)
    message.is_stored(2)
    await asked
    assert broker.acknowledged == 1


async def test_a_hurry_ends_the_wait_for_a_place_and_takes_none() -> None:
    message, slots = BulkMessage(Broker().acknowledge), asyncio.Semaphore(1)
    assert await message.place(slots)
    waiting = asyncio.create_task(message.place(slots))
    await asyncio.sleep(0)
    asking = asyncio.create_task(message.let_go())
    assert not await waiting
    assert not await message.place(slots)
    slots.release()
    assert not slots.locked()
    message.is_unpacked()
    await asking


async def test_a_place_that_becomes_free_is_taken() -> None:
    message, slots = BulkMessage(Broker().acknowledge), asyncio.Semaphore(1)
    assert await message.place(slots)
    waiting = asyncio.create_task(message.place(slots))
    await asyncio.sleep(0)
    slots.release()
    assert await waiting
    assert slots.locked()
