"""Connections: how many there may be, and how they end from our side."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from notifier.connections import SEND_LIMIT, Connection, Connections, End, Limits
from notifier.refuse import Reason, Refused
from prometheus_client import CollectorRegistry
from ratchet.observability.metrics import NotifierMetrics
from ratchet.tokens import Principal, Role


def principal(sub: str = "sarah", ttl: float = 3600) -> Principal:
    return Principal(sub, frozenset({Role.USER}), datetime.now(UTC) + timedelta(seconds=ttl))


@pytest.fixture
def connections() -> Connections:
    return Connections(NotifierMetrics(CollectorRegistry()), Limits(total=3, per_user=2))


async def hold(connections: Connections, who: Principal, opened: "asyncio.Future[Connection]") -> End | None:
    with connections.open("websocket", who) as connection:
        opened.set_result(connection)
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    return connection.ending


async def opened(connections: Connections, who: Principal) -> tuple["asyncio.Task[End | None]", Connection]:
    future: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(hold(connections, who, future))
    return task, await future


async def test_a_user_and_a_process_have_limits_and_room_comes_back(connections: Connections) -> None:
    first, connection = await opened(connections, principal("sarah"))
    await opened(connections, principal("sarah"))
    with pytest.raises(Refused) as refusal, connections.open("websocket", principal("sarah")):
        pass
    assert refusal.value.status == 429
    await opened(connections, principal("tom"))
    with pytest.raises(Refused) as refusal, connections.open("websocket", principal("kim")):
        pass
    assert refusal.value.status == 503
    connection.end(End.STOPPING)
    assert await first is End.STOPPING
    with connections.open("websocket", principal("sarah")):
        assert len(connections) == 3


async def test_a_connection_ends_when_the_token_expires(connections: Connections) -> None:
    task, _connection = await opened(connections, principal(ttl=0.05))
    async with asyncio.timeout(2):
        assert await task is End.EXPIRED


async def test_the_first_reason_for_an_end_stays(connections: Connections) -> None:
    task, connection = await opened(connections, principal())
    connection.end(End.FLOOD)
    connection.end(End.STOPPING)
    assert await task is End.FLOOD


async def test_a_cancellation_that_is_not_ours_goes_on(connections: Connections) -> None:
    task, _connection = await opened(connections, principal())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not len(connections)


async def test_whoever_keeps_a_send_waiting_too_long_is_swept_out(connections: Connections) -> None:
    slow_task, slow = await opened(connections, principal())
    quick_task, quick = await opened(connections, principal())
    slow.sending_since, quick.sending_since = 100.0, 101.0
    sweeping = asyncio.create_task(connections.sweep_forever(lambda: 100.1 + SEND_LIMIT.total_seconds()))
    async with asyncio.timeout(3):
        assert await slow_task is End.SLOW
    assert not quick_task.done()
    sweeping.cancel()


async def test_ending_all_waits_for_them_but_not_for_ever(connections: Connections) -> None:
    tasks = [(await opened(connections, principal(sub)))[0] for sub in ("sarah", "tom", "kim")]
    await connections.end_all(End.STOPPING, timedelta(seconds=2))
    assert {await task for task in tasks} == {End.STOPPING}
    others = Connections(NotifierMetrics(CollectorRegistry()), Limits(total=3, per_user=2))
    with others.open("websocket", principal()) as own:
        own.ending = End.SLOW  # as if it could not be ended
        await others.end_all(End.STOPPING, timedelta(milliseconds=20))


async def test_who_comes_while_the_instance_stops_is_sent_away_for_a_moment(connections: Connections) -> None:
    await connections.end_all(End.STOPPING, timedelta(seconds=2))
    with pytest.raises(Refused) as refusal, connections.open("websocket", principal()):
        pass
    assert (refusal.value.status, refusal.value.reason, refusal.value.will_pass) == (503, Reason.STOPPING, True)
