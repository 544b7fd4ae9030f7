"""The queue of parked messages and its table, on the real broker: nothing is lost, nothing is in one of them only."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage
from ratchet.adapters.parked_queue import BATCH, BY_HAND, ParkedQueue
from ratchet.adapters.parking import PARKED_ID_HEADER, Parking
from ratchet.adapters.postgres import outbox
from ratchet.adapters.postgres.parked_messages import ParkedMessage, ParkedMessages
from ratchet.adapters.postgres.parked_rows import ParkedRows
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher, connect
from ratchet.messages.envelope import REASON_HEADER, Incoming, Outgoing
from ratchet.messages.routes import (
    COMMANDS,
    DEAD,
    EVENTS,
    NOTIFIER_EVENTS,
    PARKED,
    RECOVERY_COMMANDS,
    RECOVERY_DEAD_LETTERS,
    Route,
    recovery_key,
)
from ratchet.observability.metrics import RecoveryMetrics, new_registry
from ratchet.recovery_ports import Settling, Tidied
from recovery.tend_parked import TendParked

from tests.integration.recovery.recovery_stage import RecoveryStage

KEY = recovery_key("CancelWorkflow")
ADA = Settling("ada", "Seen to", "c-9")
LIMIT = 20


@dataclass
class Yard:
    """One broker and one database, and what is parked there."""

    pool: asyncpg.Pool
    publisher: Publisher
    parked: ParkedQueue
    parking: Parking

    async def publish(self, route: Route, body: bytes = b"{}", **more: object) -> str:
        message_id = str(uuid.uuid4())
        await self.publisher.publish([Outgoing(route, message_id, "Some", body, "c-1", **more)])  # type: ignore[arg-type]  # any
        return message_id

    async def park(self, *bodies: bytes, message_id: str | None = "m-1") -> None:
        for body in bodies:
            message = Incoming(
                body, message_id, "c-1", "Some", COMMANDS, "workflow.start", redelivered=False, headers={}
            )
            await self.parking.park(message, "It says nothing")

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """The message at the head, which must come soon; it is gone then."""
        async with asyncio.timeout(10), self.publisher.connection.channel() as channel:
            found = await channel.get_queue(queue, ensure=False)
            while True:
                message = await found.get(fail=False, no_ack=True)
                if message is not None:
                    # From RabbitMQ 4 on each delivery from a quorum queue has it.
                    message.headers.pop("x-delivery-count", None)
                    return message
                await asyncio.sleep(0.02)

    async def depth(self, queue: str = PARKED) -> int:
        async with self.publisher.connection.channel() as channel:
            return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0

    async def until_depth(self, number: int, queue: str = PARKED) -> None:
        async with asyncio.timeout(20):
            while await self.depth(queue) != number:  # noqa: ASYNC110 - only the broker knows
                await asyncio.sleep(0.02)

    async def kill_handlers_of(self, queue: str) -> int:
        """Hand the message to one consumer after the other, each of which dies with it; how many did."""
        died, bodies = 0, asyncio.Queue[AbstractIncomingMessage]()
        while await self.depth() == 0:
            async with self.publisher.connection.channel() as channel:
                await (await channel.get_queue(queue, ensure=False)).consume(bodies.put)
                with suppress(TimeoutError):
                    await asyncio.wait_for(bodies.get(), 0.5)
                    died += 1
        return died

    async def reject_in(self, queue: str) -> None:
        """What becomes of a message whose handler has a defect."""
        async with self.publisher.connection.channel() as channel:
            message = await (await channel.get_queue(queue, ensure=False)).get(timeout=10)
            assert message is not None
            await message.reject(requeue=False)
        await self.until_depth(1)

    async def copies(self) -> list[AbstractIncomingMessage]:
        """Empty the queue."""
        return [await self.take(PARKED) for _ in range(await self.depth())]

    async def open(self) -> list[ParkedMessage]:
        return (await ParkedMessages(self.pool).page(resolved=False, after=None, limit=200))[0]

    async def replay(self, message: ParkedMessage) -> None:
        assert await ParkedMessages(self.pool).replay(message.id, ADA) is None
        await outbox.relay(self.pool, self.publisher, older_than=timedelta(0), limit=10)


@pytest.fixture
async def yard(stage: RecoveryStage, amqp_url: str) -> AsyncIterator[Yard]:
    publisher = await Publisher.open(amqp_url, name="test")
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
    taking = await connect(amqp_url, name="test-parked")
    parked = ParkedQueue(ParkedRows(stage.pool), taking, publisher)
    yield Yard(
        stage.pool, publisher, parked, Parking(stage.pool, publisher, service="test", parked=stage.metrics.parked)
    )
    await taking.close()
    await publisher.close()


# --- what the broker gives up -----------------------------------------------------------------------------------------


async def test_a_message_that_kills_its_handler_twenty_times_is_listed_with_its_reason_and_can_be_replayed(
    yard: Yard,
) -> None:
    message_id = await yard.publish(Route(COMMANDS, KEY), b'{"deadly": true}', headers={"traceparent": "00-ab-cd-01"})
    assert await yard.kill_handlers_of(RECOVERY_COMMANDS) == LIMIT + 1
    assert await yard.open() == [], "the broker cannot write rows"

    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1, removed=0)
    [listed] = await yard.open()
    assert (listed.message_id, listed.type, listed.correlation_id) == (message_id, "Some", "c-1")
    assert (listed.exchange, listed.routing_key, listed.body) == (COMMANDS, KEY, b'{"deadly": true}')
    assert listed.parked_by == "broker"
    assert f"{RECOVERY_COMMANDS} (delivery_limit)" in listed.reason
    assert listed.headers["x-first-death-queue"] == RECOVERY_COMMANDS
    assert "'count': 1" in listed.headers["x-death"]

    await yard.replay(listed)
    again = await yard.take(RECOVERY_COMMANDS)
    assert (again.message_id, again.body, again.routing_key) == (message_id, b'{"deadly": true}', KEY)
    assert again.headers == {"traceparent": "00-ab-cd-01"}, "with x-death in it the broker might drop it"
    assert await yard.parked.tidy(whole=False) == Tidied(removed=1)
    assert (await yard.depth(), await yard.open()) == (0, [])


async def test_it_can_be_discarded_instead_and_then_lies_nowhere_but_in_the_record(yard: Yard) -> None:
    await yard.publish(Route(COMMANDS, KEY))
    await yard.kill_handlers_of(RECOVERY_COMMANDS)
    await yard.parked.tidy(whole=False)
    [listed] = await yard.open()
    assert await ParkedMessages(yard.pool).discard(listed.id, ADA) is None
    assert await yard.parked.tidy(whole=False) == Tidied(removed=1)
    assert (await yard.depth(), await yard.open()) == (0, [])
    [kept] = (await ParkedMessages(yard.pool).page(resolved=True, after=None, limit=2))[0]
    assert (kept.resolution, kept.resolution_reason) == ("discarded", "Seen to")


async def test_the_same_message_that_dies_again_after_a_replay_is_a_case_of_its_own(yard: Yard) -> None:
    await yard.publish(Route(COMMANDS, KEY))
    await yard.reject_in(RECOVERY_COMMANDS)
    await yard.parked.tidy(whole=False)
    [first] = await yard.open()
    assert "(rejected)" in first.reason
    # The broker writes deaths by the second.
    await asyncio.sleep(1)
    await yard.replay(first)
    await yard.parked.tidy(whole=False)
    await yard.reject_in(RECOVERY_COMMANDS)
    await yard.parked.tidy(whole=False)
    [second] = await yard.open()
    assert second.id != first.id
    assert second.message_id == first.message_id


async def test_an_event_goes_out_again_with_the_headers_that_make_it_one(yard: Yard) -> None:
    headers = {"ce-id": "e-1", "ce-type": "WORKFLOW_COMPLETED", "ce-subject": "w-1"}
    await yard.publish(Route(EVENTS, "WORKFLOW_COMPLETED"), headers=headers)
    await yard.reject_in(NOTIFIER_EVENTS)
    await yard.parked.tidy(whole=False)
    [listed] = await yard.open()
    await yard.replay(listed)
    assert (await yard.take(NOTIFIER_EVENTS)).headers == headers


async def test_a_dead_letter_that_dies_again_names_both_queues_and_goes_back_to_where_it_died(yard: Yard) -> None:
    await yard.publish(Route(COMMANDS, "workflow.start"))
    async with yard.publisher.connection.channel() as channel:
        await (await (await channel.get_queue("executor.steps.default")).get()).reject(requeue=False)
    await yard.until_depth(1, RECOVERY_DEAD_LETTERS)
    await yard.reject_in(RECOVERY_DEAD_LETTERS)
    await yard.parked.tidy(whole=False)
    [listed] = await yard.open()
    assert RECOVERY_DEAD_LETTERS in listed.reason
    assert "executor.steps.default" in listed.reason
    assert listed.exchange == DEAD
    await yard.replay(listed)
    await yard.until_depth(1, RECOVERY_DEAD_LETTERS)


async def test_bytes_that_are_no_text_and_names_that_postgres_cannot_store_are_kept_all_the_same(yard: Yard) -> None:
    odd = Outgoing(Route(COMMANDS, KEY), "nul\x00id", "ty\x00pe", b"\xff\x00\xfe", "c\x00", headers={"h\x00": "v\x00"})
    await yard.publisher.publish([odd])
    await yard.reject_in(RECOVERY_COMMANDS)
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1)
    [listed] = await yard.open()
    assert listed.body == b"\xff\x00\xfe"
    assert listed.message_id == "nul\ufffdid"


async def test_what_somebody_put_there_by_hand_is_listed_too(yard: Yard) -> None:
    await yard.publish(Route("", PARKED), b"found on the floor")
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1)
    [listed] = await yard.open()
    assert (listed.body, listed.reason) == (b"found on the floor", BY_HAND)


# --- copies -----------------------------------------------------------------------------------------------------------


async def test_the_copy_in_the_queue_says_what_the_row_says_and_the_rest_keeps_its_order(yard: Yard) -> None:
    await yard.park(b"1", b"2", b"3")
    await yard.publish(Route(COMMANDS, KEY), b"4")
    async with yard.publisher.connection.channel() as channel:
        await (await (await channel.get_queue(RECOVERY_COMMANDS)).get()).reject(requeue=False)
    await yard.until_depth(4)
    second = (await yard.open())[1]
    await ParkedMessages(yard.pool).discard(second.id, ADA)
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1, removed=1)
    rows = await yard.open()
    copies = await yard.copies()
    assert [copy.body for copy in copies] == [b"1", b"3", b"4"]
    assert [copy.headers[PARKED_ID_HEADER] for copy in copies] == [str(row.id) for row in rows]
    assert [copy.headers[REASON_HEADER] for copy in copies] == [row.reason for row in rows]
    assert not any("x-death" in copy.headers for copy in copies)


async def test_a_queue_that_is_like_the_table_is_left_alone(yard: Yard) -> None:
    await yard.park(b"1", b"2")
    assert await yard.parked.tidy(whole=False) is None
    assert [copy.redelivered for copy in await yard.copies()] == [False, False]


async def test_a_look_through_the_whole_queue_harms_nothing_however_often(yard: Yard) -> None:
    bodies = [str(number).encode() for number in range(BATCH + 5)]
    await yard.park(*bodies)
    for _ in range(LIMIT + 2):
        assert await yard.parked.tidy(whole=True) == Tidied()
    assert [copy.body for copy in await yard.copies()] == bodies


async def test_after_a_look_through_the_whole_queue_it_is_left_alone_again(yard: Yard) -> None:
    await yard.park(b"1", b"2")
    await yard.publish(Route("", PARKED), b"new")
    assert await yard.parked.tidy(whole=True) == Tidied(adopted=1)
    assert await yard.parked.tidy(whole=False) is None


async def test_a_message_that_says_it_came_from_nowhere_goes_by_where_it_lies(yard: Yard) -> None:
    await yard.publish(Route("", PARKED), b"1", headers={"x-ratchet-routing-key": "k" * 300, "x-ratchet-exchange": 17})
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1)
    [listed] = await yard.open()
    assert (listed.exchange, listed.routing_key) == ("", PARKED)


async def test_large_messages_are_taken_a_few_at_a_time(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet.adapters.parked_queue.BATCH_BYTES", 1)
    await yard.park(b"1", b"2", b"3")
    assert await yard.parked.tidy(whole=True) == Tidied()
    assert [copy.body for copy in await yard.copies()] == [b"1", b"2", b"3"]


async def test_two_copies_of_one_row_become_one_and_a_copy_with_other_content_becomes_a_row(yard: Yard) -> None:
    await yard.park(b"same")
    await yard.park(b"same")
    [row] = await yard.open()
    await yard.publish(Route("", PARKED), b"not the same", headers={PARKED_ID_HEADER: str(row.id)})
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1, removed=1)
    assert sorted(message.body for message in await yard.open()) == [b"not the same", b"same"]
    assert sorted(copy.body for copy in await yard.copies()) == [b"not the same", b"same"]


async def test_whoever_takes_a_copy_changes_nothing_and_hides_nothing_that_comes_later(yard: Yard) -> None:
    await yard.park(b"1")
    assert (await yard.take(PARKED)).body == b"1"
    assert await yard.parked.tidy(whole=False) == Tidied()
    assert [message.body for message in await yard.open()] == [b"1"]
    assert await yard.parked.tidy(whole=False) is None
    await yard.publish(Route(COMMANDS, KEY), b"2")
    await yard.reject_in(RECOVERY_COMMANDS)
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1)
    assert [message.body for message in await yard.open()] == [b"1", b"2"]


async def test_a_message_that_is_parked_again_after_its_replay_is_open_again_and_back_in_the_queue(yard: Yard) -> None:
    await yard.park(b"1")
    [row] = await yard.open()
    await yard.replay(row)
    assert await yard.parked.tidy(whole=False) == Tidied(removed=1)
    await yard.park(b"1")
    assert [message.id for message in await yard.open()] == [row.id]
    assert await yard.parked.tidy(whole=False) is None
    assert await yard.depth() == 1


# --- in spite of everything -------------------------------------------------------------------------------------------


async def test_cut_off_after_the_row_was_written_it_ends_as_one_row_and_one_copy(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await yard.publish(Route(COMMANDS, KEY))
    await yard.reject_in(RECOVERY_COMMANDS)
    with monkeypatch.context() as patch:

        async def killed(_self: Publisher, _messages: object) -> None:
            raise KeyError("killed here")

        patch.setattr(Publisher, "publish", killed)
        with pytest.raises(KeyError):
            await yard.parked.tidy(whole=False)
    assert len(await yard.open()) == 1
    await yard.until_depth(1)
    await yard.parked.tidy(whole=True)
    assert len(await yard.open()) == 1
    [copy] = await yard.copies()
    assert PARKED_ID_HEADER in copy.headers


async def test_during_an_outage_it_holds_what_it_took_and_goes_on_afterwards(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await yard.publish(Route(COMMANDS, KEY))
    await yard.reject_in(RECOVERY_COMMANDS)
    real, failures = ParkedRows.keep, iter([ConnectionError("away")])

    async def keep(self: ParkedRows, rows: list[object]) -> int:
        for failure in failures:
            raise failure
        return await real(self, rows)  # type: ignore[arg-type]  # patched in

    monkeypatch.setattr(ParkedRows, "keep", keep)
    assert await yard.parked.tidy(whole=False) == Tidied(adopted=1)
    assert len(await yard.open()) == 1


async def test_two_services_that_look_at_once_do_it_once(yard: Yard, amqp_url: str) -> None:
    bodies = [str(number).encode() for number in range(30)]
    await yard.park(*bodies)
    await yard.publish(Route("", PARKED), b"new")
    second = await connect(amqp_url, name="test-parked-2")
    async with second:
        other = ParkedQueue(ParkedRows(yard.pool), second, yard.publisher)
        await asyncio.gather(*(one.tidy(whole=True) for one in (yard.parked, other, yard.parked, other)))
    await yard.parked.tidy(whole=True)
    assert {message.body for message in await yard.open()} == {*bodies, b"new"}
    assert sorted(copy.body for copy in await yard.copies()) == sorted([*bodies, b"new"])


async def test_the_service_counts_what_it_finds(yard: Yard) -> None:
    metrics = RecoveryMetrics(new_registry())
    await yard.publish(Route("", PARKED))
    await TendParked(yard.parked, metrics).look()
    assert metrics.parked._value.get() == 1
