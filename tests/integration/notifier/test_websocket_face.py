"""`/ws` on real servers: replay, live, the seam between them, acknowledgements, who is let in."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest
import websockets
from ratchet.messages.events import EventType, needs_attention, step_failed

from tests.integration.notifier.talk import ORIGIN, Client, Emitter, Notifier, in_order, token, until


async def test_an_event_reaches_its_owner_with_id_type_time_and_data(notifier: Notifier, emit: Emitter) -> None:
    client = await notifier.connect(token("sarah"))
    await emit.event(step_failed("reserve_stock", reason="gone", message="Step failed", can_skip=False))
    frame = await client.receive()
    assert list(frame) == ["id", "type", "time", "data"]
    assert frame["id"] == 1
    assert frame["type"] == "WORKFLOW_STEP_FAILED"
    assert frame["time"] == frame["data"]["timestamp"]
    assert frame["time"].endswith("Z")
    assert frame["data"]["stepName"] == "reserve_stock"
    assert frame["data"]["canRetry"] is True


async def test_nobody_gets_the_events_of_somebody_else(notifier: Notifier, emit: Emitter) -> None:
    tom = await notifier.connect(token("tom"), after=0)
    await emit("sarah", count=3)
    await emit("tom")
    assert await tom.ids(1) == [1]
    assert await tom.is_silent()


async def test_events_of_an_absence_are_replayed_after_the_cursor_and_then_live_ones_follow(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=5)
    first = await notifier.connect(token("sarah"), after=0)
    assert await first.ids(5) == [1, 2, 3, 4, 5]
    late = await notifier.connect(token("sarah"), after=3)
    assert await late.ids(2) == [4, 5]
    await emit("sarah")
    assert await late.ids(1) == [6]
    assert await first.ids(1) == [6]


async def test_without_any_position_everything_that_is_kept_comes_at_each_connection(
    notifier: Notifier, emit: Emitter, database: asyncpg.Connection
) -> None:
    await emit("sarah", count=4)
    await (await notifier.connect(token("sarah"))).ids(4)
    await database.execute("DELETE FROM notifications WHERE feed = 'user:sarah' AND seq = 1")
    await database.execute("UPDATE user_feeds SET pruned = 1 WHERE feed = 'user:sarah'")
    client = await notifier.connect(token("sarah"))
    assert await client.ids(3) == [2, 3, 4]
    await emit("sarah")
    assert await client.ids(1) == [5]


async def test_who_asks_for_the_newest_gets_only_what_is_new_and_is_told_where_that_begins(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=3)
    await (await notifier.connect(token("sarah"))).ids(3)
    client = await notifier.connect(token("sarah"), after="newest", hello="true")
    assert await client.receive() == {"type": "SUBSCRIBED", "data": {"after": 3}}
    assert await client.is_silent()
    await emit("sarah")
    assert await client.ids(1) == [4]


async def test_without_a_cursor_the_last_acknowledged_position_counts(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=6)
    client = await notifier.connect(token("sarah"), after=0)
    await client.ids(6)
    await client.ack(4)
    await client.ack(2)
    await client.socket.close()
    again = await notifier.connect(token("sarah"))
    assert await again.ids(2) == [5, 6]
    everything = await notifier.connect(token("sarah"), after=0)
    assert await everything.ids(6) == [1, 2, 3, 4, 5, 6]


async def test_acknowledging_beyond_the_newest_position_changes_nothing_beyond_it(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=2)
    client = await notifier.connect(token("sarah"), after=0)
    await client.ids(2)
    await client.ack(10**18)
    await client.ack(10**40)
    await client.socket.close()
    again = await notifier.connect(token("sarah"))
    await emit("sarah")
    assert await again.ids(1) == [3]


async def test_a_cursor_beyond_the_newest_position_is_said_to_be_not_recovered(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=5)
    await (await notifier.connect(token("sarah"), after=0)).ids(5)
    clients = [await notifier.connect(token("sarah"), after=after) for after in (6, 2**63 - 1, 2**63, 10**25)]
    for client in clients:
        assert await client.receive() == {"type": "NOT_RECOVERED", "data": {"after": 5}}
    await emit("sarah")
    for client in clients:
        assert await client.ids(1) == [6]


async def test_staff_get_everybodys_events_in_one_numbering_of_their_own(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=2)
    support = await notifier.connect(token("kim", "support"), all="true", after=0)
    assert await support.ids(2) == [1, 2]
    await emit("tom")
    assert await support.ids(1) == [3]
    tom = await notifier.connect(token("tom"), after=0)
    assert await tom.ids(1) == [1]


async def test_each_member_of_the_staff_has_an_acknowledged_position_of_their_own(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=4)
    kim = await notifier.connect(token("kim", "support"), all="true", after=0)
    await kim.ids(4)
    await kim.ack(3)
    await kim.socket.close()
    assert await (await notifier.connect(token("kim", "support"), all="true")).ids(1) == [4]
    ann = await notifier.connect(token("ann", "admin"), all="true")
    assert await ann.ids(4) == [1, 2, 3, 4]


async def test_needs_attention_goes_to_the_staff_and_not_to_the_owner(notifier: Notifier, emit: Emitter) -> None:
    owner = await notifier.connect(token("sarah"), after=0)
    staff = await notifier.connect(token("kim", "admin"), all="true", after=0)
    await emit.event(needs_attention("three recoveries without progress"))
    assert (await staff.receive())["type"] == "WORKFLOW_NEEDS_ATTENTION"
    await emit("sarah")
    assert (await owner.receive())["type"] == "WORKFLOW_COMPLETED"


async def test_the_same_event_again_is_neither_stored_nor_pushed_again(notifier: Notifier, emit: Emitter) -> None:
    client = await notifier.connect(token("sarah"), after=0)
    for _ in range(3):
        await emit("sarah", event_id="one-and-the-same")
    await emit("sarah")
    assert await client.ids(2) == [1, 2]
    assert await client.is_silent()


async def test_nothing_is_lost_or_doubled_at_the_seam_between_replay_and_live(
    notifier: Notifier, emit: Emitter
) -> None:
    total = 600

    async def publish() -> None:
        for _ in range(total // 20):
            await emit("sarah", count=20)

    publishing = asyncio.create_task(publish())
    clients: list[Client] = []
    for _ in range(40):
        clients.append(await notifier.connect(token("sarah"), after=0))
        await asyncio.sleep(0.01)
    await publishing
    for client in clients:
        assert await client.ids(total, limit=10) == list(range(1, total + 1))
        assert len({frame["data"]["workflowId"] for frame in client.got}) == total


async def test_a_new_connection_without_cursor_misses_nothing_that_is_published_after_its_handshake(
    notifier: Notifier, emit: Emitter
) -> None:
    for count in range(1, 21):
        client = await notifier.connect(token("sarah"))
        await emit("sarah")
        assert await client.ids(count) == list(range(1, count + 1))
        await client.socket.close()


BAD_HANDSHAKES: list[tuple[str | None, dict[str, Any], str | None, int]] = [
    (None, {}, None, 401),
    ("garbage", {}, None, 401),
    (None, {"access_token": "garbage"}, None, 401),
    (token("sarah", ttl=timedelta(seconds=-1)), {}, None, 401),
    (token("sarah"), {"all": "true"}, None, 403),
    (token("sarah"), {"all": "perhaps"}, None, 400),
    (token("sarah"), {"after": "-1"}, None, 400),
    (token("sarah"), {"after": "1.5"}, None, 400),
    (token("sarah"), {"after": ""}, None, 400),
    (token("sarah"), {"after": "9" * 31}, None, 400),
    (token("sarah"), {}, "https://evil.example", 403),
    (token("sarah"), {}, ORIGIN + ".evil.example", 403),
    (token("sarah"), {}, ORIGIN + ":444", 403),
    (token("sarah"), {}, "http://app.example", 403),
    (token("sarah"), {}, "null", 403),
]


async def test_a_bad_handshake_is_refused_with_a_reason(notifier: Notifier) -> None:
    for bearer, query, origin, status in BAD_HANDSHAKES:
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await notifier.connect(bearer, origin=origin, **query)
        assert refusal.value.response.status_code == status, (query, origin)
        assert orjson.loads(refusal.value.response.body or b"{}")["detail"]


async def test_a_listed_origin_and_a_token_in_the_query_are_let_in(notifier: Notifier, emit: Emitter) -> None:
    client = await notifier.connect(origin=ORIGIN, access_token=token("sarah"))
    await emit("sarah")
    assert await client.ids(1) == [1]


async def test_the_socket_closes_when_the_token_expires(notifier: Notifier) -> None:
    client = await notifier.connect(token("sarah", ttl=timedelta(seconds=1.2)))
    assert client.socket.close_code is None
    assert await client.closed_with(limit=3) == 4401


async def test_what_is_no_json_closes_the_socket_and_unknown_json_does_not(notifier: Notifier, emit: Emitter) -> None:
    client = await notifier.connect(token("sarah"))
    for unknown in ('{"ack": "three"}', '{"ack": true}', '{"ack": -1}', "{}", '{"hello": 1}'):
        await client.socket.send(unknown)
        assert (await client.receive())["type"] == "IGNORED"
    await emit("sarah")
    assert await client.ids(1) == [1]
    await client.socket.send("hello")
    assert await client.closed_with() == 1003


async def test_a_frame_that_is_too_large_and_a_flood_of_nonsense_close_the_socket(notifier: Notifier) -> None:
    large = await notifier.connect(token("sarah"))
    await large.socket.send("x" * 65_537)
    assert await large.closed_with() == 1009
    flood = await notifier.connect(token("sarah"))
    with contextlib.suppress(websockets.ConnectionClosed):
        for _ in range(2000):
            await flood.socket.send("{}")
    assert await flood.closed_with() == 1008


async def test_an_event_that_cannot_be_understood_is_parked_and_the_next_one_goes_on(
    notifier: Notifier, emit: Emitter, database: Any
) -> None:
    async def are_parked() -> bool:
        return bool(await database.fetchval("SELECT count(*) = 3 FROM parked_messages"))

    client = await notifier.connect(token("sarah"))
    await emit.raw(b"{not json", type="WORKFLOW_COMPLETED")
    await emit.raw(b"{}", type="WORKFLOW_UNHEARD_OF")
    await emit.raw(b'{"a": "\\u0000"}', type="WORKFLOW_COMPLETED")
    await emit("sarah", kind=EventType.PAUSED)
    assert (await client.receive())["type"] == "WORKFLOW_PAUSED"
    await until(are_parked)
    reasons = [row["reason"] for row in await database.fetch("SELECT reason FROM parked_messages")]
    assert any("not JSON" in reason for reason in reasons)


async def test_frames_of_many_users_stay_in_order(notifier: Notifier, emit: Emitter) -> None:
    users = [f"user-{number}" for number in range(20)]
    clients = [await notifier.connect(token(user), after=0) for user in users]
    await asyncio.gather(*(emit(user, count=25) for user in users))
    for client in clients:
        assert in_order(await client.receive_many(25))
