"""Tickets, preferences, limits and retention, over real sockets."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import pytest
import redis
import websockets
from local_stack.servers import RunningServers
from ratchet.messages.events import EventType
from ratchet.settings import Settings

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.talk import Emitter, Notifier, token, until


async def call(notifier: Notifier, method: str, path: str, bearer: str | None = None, **more: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with httpx2.AsyncClient() as http:
        return await http.request(method, f"{notifier.http}{path}", headers=headers, **more)


async def ticket_for(notifier: Notifier, bearer: str) -> str:
    answer = await call(notifier, "POST", "/ticket", bearer)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ticket"])


async def test_a_ticket_opens_one_connection_for_whom_it_was_issued(notifier: Notifier, emit: Emitter) -> None:
    answer = await call(notifier, "POST", "/ticket", token("sarah"))
    expires_at = datetime.fromisoformat(answer.json()["expiresAt"])
    assert timedelta(seconds=27) < expires_at - datetime.now(UTC) <= timedelta(seconds=30)
    ticket = answer.json()["ticket"]
    client = await notifier.connect(ticket=ticket)
    await emit("sarah")
    assert await client.ids(1) == [1]
    with pytest.raises(websockets.InvalidStatus, match="401"):
        await notifier.connect(ticket=ticket)


async def test_of_many_that_race_for_a_ticket_one_gets_in(start: Start) -> None:
    instances = [await start(), await start()]
    ticket = await ticket_for(instances[0], token("sarah"))
    attempts = [instances[number % 2].connect(ticket=ticket) for number in range(10)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1


async def test_the_store_of_tickets_holds_neither_ticket_nor_token(notifier: Notifier, settings: Settings) -> None:
    bearer = token("sarah")
    ticket = await ticket_for(notifier, bearer)
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as store:
        keys: Any = store.keys("*")
        [key] = keys
        value: Any = store.get(key)
        ttl: Any = store.pttl(key)
        assert 0 < ttl <= 30_000
        assert ticket.encode() not in key + value
        assert bearer.split(".")[1].encode() not in value
        # Whoever can write there cannot promote himself.
        store.set(key, bearer)
    with pytest.raises(websockets.InvalidStatus, match="401"):
        await notifier.connect(ticket=ticket)


async def test_a_made_up_ticket_is_refused(notifier: Notifier) -> None:
    for ticket in ("", "x" * 200, "made-up"):
        with pytest.raises(websockets.InvalidStatus, match="401"):
            await notifier.connect(ticket=ticket)


async def test_tickets_are_for_bearers_only(notifier: Notifier) -> None:
    assert (await call(notifier, "POST", "/ticket")).status_code == 401
    assert (await call(notifier, "POST", f"/ticket?access_token={token('sarah')}")).status_code == 401
    assert (await call(notifier, "GET", "/ticket", token("sarah"))).status_code == 405


async def test_without_redis_tickets_are_refused_as_an_outage_and_tokens_still_work(
    notifier: Notifier, servers: RunningServers, emit: Emitter
) -> None:
    ticket = await ticket_for(notifier, token("sarah"))
    await asyncio.to_thread(servers["valkey"].kill)
    try:
        assert (await call(notifier, "POST", "/ticket", token("sarah"))).status_code == 503
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await notifier.connect(ticket=ticket)
        client = await notifier.connect(token("sarah"))
        await emit("sarah")
        assert await client.ids(1) == [1]
    finally:
        await asyncio.to_thread(servers["valkey"].start)


async def test_muted_events_are_not_pushed_but_kept_and_unmuting_brings_them_back(
    notifier: Notifier, emit: Emitter, database: asyncpg.Connection
) -> None:
    async def are_kept() -> bool:
        return bool(await database.fetchval("SELECT count(*) = 3 FROM notifications WHERE feed = 'user:sarah'"))

    muted = {"muted": ["WORKFLOW_STEP_RETRYING"]}
    answer = await call(notifier, "PUT", "/preferences", token("sarah"), json=muted)
    assert answer.json()["muted"] == ["WORKFLOW_STEP_RETRYING"]
    client = await notifier.connect(token("sarah"), after=0)
    await emit("sarah", kind=EventType.STEP_RETRYING, count=3)
    await until(are_kept)
    await emit("sarah", kind=EventType.STEP_FAILED)
    assert await client.ids(1) == [4]
    await call(notifier, "PUT", "/preferences", token("sarah"), json={"muted": []})
    again = await notifier.connect(token("sarah"), after=0)
    assert await again.ids(4) == [1, 2, 3, 4]


async def test_a_change_of_preferences_reaches_open_connections_on_every_instance(start: Start, emit: Emitter) -> None:
    one, two = await start(), await start()
    clients = [await one.connect(token("sarah")), await two.connect(token("sarah"))]
    await emit("sarah", kind=EventType.STEP_RETRYING)
    for client in clients:
        assert await client.ids(1) == [1]
    await call(one, "PUT", "/preferences", token("sarah"), json={"muted": ["WORKFLOW_STEP_RETRYING"]})

    async def is_muted() -> bool:
        await emit("sarah", kind=EventType.STEP_RETRYING)
        await emit("sarah", kind=EventType.COMPLETED)
        kinds = set()
        for client in clients:
            while (frame := await client.receive())["type"] != "WORKFLOW_COMPLETED":
                kinds.add(frame["type"])
        return not kinds

    await until(is_muted)


async def test_preferences_of_the_staff_feed_are_apart_from_ones_own(notifier: Notifier) -> None:
    kim = token("kim", "support")
    await call(notifier, "PUT", "/preferences?all=true", kim, json={"muted": ["WORKFLOW_COMPLETED"]})
    assert (await call(notifier, "GET", "/preferences", kim)).json()["muted"] == []
    assert (await call(notifier, "GET", "/preferences?all=true", kim)).json()["muted"] == ["WORKFLOW_COMPLETED"]
    assert (await call(notifier, "GET", "/preferences?all=true", token("sarah"))).status_code == 403


BAD_PREFERENCES = [
    (b"x", 400),
    (b"[]", 422),
    (b'{"muted": "all"}', 422),
    (b'{"muted": [1]}', 422),
    (b'{"muted": ["NO_SUCH_EVENT"]}', 422),
    (b" " * 17_000, 413),
]


async def test_bad_preferences_are_refused(notifier: Notifier) -> None:
    for content, status in BAD_PREFERENCES:
        answer = await call(notifier, "PUT", "/preferences", token("sarah"), content=content)
        assert answer.status_code == status, content[:40]


async def test_a_user_and_an_instance_have_only_so_many_connections(start: Start) -> None:
    notifier = await start(sockets_per_user=2, sockets_total=3)
    first = await notifier.connect(token("sarah"))
    await notifier.connect(token("sarah"))
    with pytest.raises(websockets.InvalidStatus, match="429"):
        await notifier.connect(token("sarah"))
    await notifier.connect(token("tom"))
    with pytest.raises(websockets.InvalidStatus, match="503"):
        await notifier.connect(token("kim"))
    await first.socket.close()

    async def has_room() -> bool:
        try:
            await notifier.connect(token("sarah"))
        except websockets.InvalidStatus:
            return False
        return True

    await until(has_room)


async def test_what_is_older_than_the_retention_is_pruned_and_said_to_be_not_recovered(
    start: Start, emit: Emitter, database: asyncpg.Connection
) -> None:
    notifier = await start(notification_retention=timedelta(hours=1))
    await emit("sarah", count=450)
    early = await notifier.connect(token("sarah"), after=0)
    await early.ids(450)
    await early.ack(10)
    await database.execute("UPDATE notifications SET stored_at = stored_at - interval '2 hours' WHERE seq <= 430")
    pruner = await start(notification_retention=timedelta(hours=1))

    async def is_pruned() -> bool:
        return bool(await database.fetchval("SELECT count(*) = 40 FROM notifications"))

    await until(is_pruned)
    assert await database.fetchval("SELECT min(pruned) FROM user_feeds") == 430
    queries: list[dict[str, Any]] = [{"after": 0}, {"after": 429}, {}]
    for query in queries:
        late = await pruner.connect(token("sarah"), **query)
        assert await late.receive() == {"type": "NOT_RECOVERED", "data": {"after": 430}}
        assert await late.ids(20) == list(range(431, 451))
    exact = await pruner.connect(token("sarah"), after=430)
    assert await exact.ids(20) == list(range(431, 451))
    await emit("sarah")
    assert await exact.ids(1) == [451]


async def test_a_greeting_with_the_position_is_sent_to_whoever_asks_for_it(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=2)
    await (await notifier.connect(token("sarah"), after=0)).ids(2)
    client = await notifier.connect(token("sarah"), hello="true")
    assert await client.receive() == {"type": "SUBSCRIBED", "data": {"after": 0}}
    assert await client.ids(2) == [1, 2]
    await client.ack(2)

    async def is_acknowledged() -> bool:
        again = await notifier.connect(token("sarah"), hello="true")
        return await again.receive() == {"type": "SUBSCRIBED", "data": {"after": 2}}

    await until(is_acknowledged)
