"""What a handler raises decides nothing; whether others pass does."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from ratchet.adapters.rabbitmq import keep_trying
from ratchet.adapters.rabbitmq.keep_trying import KeepTrying
from ratchet.domain import patience
from ratchet.messages.envelope import Incoming, Settlement
from ratchet.observability.metrics import DeliveryMetrics
from structlog.testing import capture_logs

EVERYTHING = [
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.InvalidSQLStatementNameError('prepared statement "__asyncpg_stmt_1__" does not exist'),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.InsufficientPrivilegeError("permission denied"),
    asyncpg.UndefinedTableError("relation does not exist"),
    asyncpg.UndefinedColumnError("column does not exist"),
    asyncpg.DiskFullError("no space left on device"),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.PostgresIOError("could not read block"),
    asyncpg.InternalServerError("unexpected"),
    asyncpg.SerializationError("could not serialize access"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
    asyncpg.NotNullViolationError("a column of tomorrow"),
    ConnectionResetError(),
    TimeoutError(),
    TypeError("ours"),
    RuntimeError("ours"),
    asyncio.CancelledError(),
]


class Shelf:
    """Parks in memory."""

    def __init__(self) -> None:
        self.parked: list[tuple[Incoming, str]] = []
        self.fails = 0

    async def park(self, message: Incoming, reason: str, *, part: Any = None) -> None:
        assert part is None, "it is kept whole"
        if self.fails:
            self.fails -= 1
            raise ConnectionError("away")
        self.parked.append((message, reason))


class Desk:
    """One queue whose handler fails for messages as long as `trouble` says so."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.registry = CollectorRegistry()
        self.trying = KeepTrying(self.shelf, DeliveryMetrics(self.registry))
        self.lane = self.trying.lane("work")
        self.tries: dict[str, int] = {}
        self.trouble: Callable[[Incoming], BaseException | None] = lambda _message: None

    async def handle(self, message: Incoming) -> Settlement:
        self.tries[str(message.message_id)] = self.tries.get(str(message.message_id), 0) + 1
        error = self.trouble(message)
        if error is not None:
            raise error
        return Settlement.ACK

    async def deliver(self, name: str, key: str = "step.default") -> Settlement:
        return await self.lane.handled(self.handle, message(name, key))

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"queue": "work", **labels}) or 0.0


def message(name: str, key: str = "step.default") -> Incoming:
    return Incoming(
        body=b"{}",
        message_id=name,
        correlation_id=None,
        type=None,
        exchange="ratchet.commands",
        routing_key=key,
        redelivered=False,
        headers={},
    )


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any number of things may make it true
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pauses of a millisecond; set aside after 20 ms alone. Nothing is printed, which would take longer."""
    monkeypatch.setattr(patience, "SHORTEST", 0.001)
    monkeypatch.setattr(patience, "LONGEST", 0.002)
    monkeypatch.setattr(patience, "LONGEST_IN_OUTAGE", 0.002)
    monkeypatch.setattr(patience, "ALONE", patience.Limit(5, 0.02))
    with capture_logs():
        yield


@pytest.mark.parametrize("error", EVERYTHING, ids=lambda error: type(error).__name__)
async def test_whatever_fails_the_message_waits_and_is_carried_out_in_the_end(error: BaseException) -> None:
    desk = Desk()
    desk.trouble = lambda _message: error
    waiting = [asyncio.create_task(desk.deliver(f"m{number}")) for number in range(10)]
    await reached(lambda: min((desk.tries.get(f"m{number}", 0) for number in range(10)), default=0) > 5)
    assert desk.metric("ratchet_deliveries_failing") == 10
    desk.trouble = lambda _message: None
    assert await asyncio.gather(*waiting) == [Settlement.ACK] * 10
    assert desk.shelf.parked == []
    assert desk.metric("ratchet_deliveries_failing") == 0
    assert sum(desk.metric("ratchet_delivery_failures_total", trouble=kind) for kind in patience.Trouble) >= 50


async def test_one_that_fails_alone_while_others_pass_is_set_aside_whole_with_the_error_named() -> None:
    desk = Desk()
    desk.trouble = lambda item: TypeError("only this one") if item.message_id == "odd" else None
    odd = asyncio.create_task(desk.deliver("odd"))
    number = 0
    while not odd.done():
        number += 1
        assert await desk.deliver(f"m{number}") is Settlement.ACK
        await asyncio.sleep(0.001)
    assert await odd is Settlement.ACK
    [(parked, reason)] = desk.shelf.parked
    assert (parked.exchange, parked.routing_key, parked.body) == ("ratchet.commands", "step.default", b"{}")
    assert reason.startswith("Set aside after")
    assert reason.endswith("while others passed: TypeError: only this one")
    assert desk.metric("ratchet_deliveries_set_aside_total") == 1


async def test_others_of_another_kind_prove_nothing() -> None:
    """A table that only starts need is missing: steps go on, and no start is at fault."""
    desk = Desk()
    desk.trouble = lambda item: TypeError("all starts") if item.routing_key == "workflow.start" else None
    start = asyncio.create_task(desk.deliver("start", "workflow.start"))
    while desk.tries.get("start", 0) < 50:
        await desk.deliver("other")
        await asyncio.sleep(0.001)
    assert desk.shelf.parked == []
    start.cancel()


async def test_while_it_cannot_be_set_aside_it_waits_on() -> None:
    desk = Desk()
    desk.shelf.fails = 3
    desk.trouble = lambda _item: asyncpg.DataError("refused")
    patient = patience.REFUSED_CONTENT
    assert patient.seconds >= 1, "long enough for a database that is just being mended"
    with pytest.MonkeyPatch.context() as quicker:
        quicker.setattr(patience, "REFUSED_CONTENT", patience.Limit(3, 0.0))
        assert await desk.deliver("odd") is Settlement.ACK
    assert len(desk.shelf.parked) == 1
    assert desk.tries["odd"] == 6


async def test_when_one_passes_those_that_wait_for_a_server_do_not_wait_any_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "SHORTEST", 60.0)
    monkeypatch.setattr(patience, "LONGEST_IN_OUTAGE", 60.0)
    desk = Desk()
    desk.trouble = lambda _item: ConnectionError()
    waiting = asyncio.create_task(desk.deliver("waits"))
    await reached(lambda: desk.tries.get("waits") == 1)
    desk.trouble = lambda _item: None
    await desk.deliver("passes")
    async with asyncio.timeout(5):
        assert await waiting is Settlement.ACK


async def test_a_task_that_was_asked_to_end_ends() -> None:
    desk = Desk()
    hanging = asyncio.create_task(desk.lane.handled(_hang, message("m")))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def _hang(_message: Incoming) -> Settlement:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_the_service_is_not_ready_while_nothing_of_a_kind_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_trying, "STUCK_AFTER", 0.02)
    desk = Desk()
    desk.trouble = lambda item: ConnectionError() if item.routing_key == "workflow.start" else None
    start = asyncio.create_task(desk.deliver("start", "workflow.start"))
    await reached(lambda: desk.tries.get("start", 0) > 0)
    assert await desk.trying.is_getting_through()
    await asyncio.sleep(0.03)
    await desk.deliver("other")
    assert not await desk.trying.is_getting_through(), "other kinds getting through is not enough"
    desk.trouble = lambda _item: None
    await start
    assert await desk.trying.is_getting_through()
