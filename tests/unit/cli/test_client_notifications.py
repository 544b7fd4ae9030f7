"""Following events: each once, in order, across lost connections, with nothing missed in silence."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ratchet.client import Notification, NotRecovered, Problem, ServerUnreachable
from ratchet.client.notifications import Following, NotificationStream
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Response

from tests.unit.cli.scripted import ENDPOINTS, Waits


def event(number: int) -> str:
    data = {"workflowId": "w"}
    return json.dumps({"id": number, "type": "WORKFLOW_COMPLETED", "time": "2026-11-24T10:00:00Z", "data": data})


def refusal(status: int, body: dict[str, Any] | None = None) -> InvalidStatus:
    return InvalidStatus(Response(status, "x", Headers(), json.dumps(body or {}).encode()))


CUT = ConnectionClosedError(None, None)


class Silence:
    """The socket stays open and nothing comes."""


@dataclass
class ScriptedSocket:
    script: list[str | Exception | Silence]
    sent: list[Any] = field(default_factory=list)
    closed: bool = False
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)

    async def recv(self) -> str:
        if not self.script:
            raise CUT
        item = self.script.pop(0)
        if isinstance(item, Silence):
            await asyncio.Event().wait()
        if isinstance(item, Exception):
            raise item
        assert isinstance(item, str)
        return item

    async def close(self) -> None:
        self.closed = True

    async def send(self, message: str) -> None:
        self.sent.append(json.loads(message))
        self.acknowledged.set()


@dataclass
class ScriptedNotifier:
    """One entry for each connection: what its socket brings, or why there is none."""

    connections: list[list[str | Exception | Silence] | Exception]
    sockets: list[ScriptedSocket] = field(default_factory=list)
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def open(self, url: str, token: str) -> ScriptedSocket:
        self.asked.append(parse_qs(urlsplit(url).query))
        self.tokens.append(token)
        connection = self.connections.pop(0) if len(self.connections) > 1 else self.connections[0]
        if isinstance(connection, Exception):
            raise connection
        socket = ScriptedSocket(list(connection))
        self.sockets.append(socket)
        return socket


async def take(
    notifier: ScriptedNotifier, count: int, waits: Waits | None = None, **options: Any
) -> list[Notification]:
    taken: list[Notification] = []
    async with stream(notifier, waits, **options) as events:
        async for notification in events:
            taken.append(notification)
            if len(taken) == count:
                break
    return taken


def stream(notifier: ScriptedNotifier, waits: Waits | None = None, **options: Any) -> NotificationStream:
    timing = (waits or Waits()).timing()
    return NotificationStream(ENDPOINTS, Following(**options), timing=timing, opener=notifier.open)


async def test_events_come_in_order_with_their_numbers() -> None:
    notifier = ScriptedNotifier([[event(1), event(2), event(3)]])
    taken = await take(notifier, 3, after=0)
    assert [notification.id for notification in taken] == [1, 2, 3]
    assert taken[0].workflow_id == "w"
    assert notifier.asked == [{"after": ["0"]}]
    assert notifier.tokens == ["the-token"]


async def test_after_a_lost_connection_it_goes_on_after_the_last_event() -> None:
    notifier = ScriptedNotifier([[event(4), event(5)], [event(6)]])
    taken = await take(notifier, 3, after=3)
    assert [notification.id for notification in taken] == [4, 5, 6]
    assert [asked["after"] for asked in notifier.asked] == [["3"], ["5"]]


async def test_an_event_that_comes_twice_is_told_once() -> None:
    notifier = ScriptedNotifier([[event(1), event(2)], [event(1), event(2), event(3)]])
    assert [notification.id for notification in await take(notifier, 3, after=0)] == [1, 2, 3]


async def test_whoever_begins_with_what_is_new_misses_nothing_while_the_connection_is_restored() -> None:
    subscribed = json.dumps({"type": "SUBSCRIBED", "data": {"after": 41}})
    notifier = ScriptedNotifier([[subscribed], [event(42)]])
    await take(notifier, 1, after="newest")
    assert notifier.asked == [{"hello": ["true"], "after": ["newest"]}, {"after": ["41"]}]


async def test_whoever_begins_without_a_place_goes_on_where_the_server_began() -> None:
    subscribed = json.dumps({"type": "SUBSCRIBED", "data": {"after": 41}})
    notifier = ScriptedNotifier([[subscribed], [event(42)]])
    await take(notifier, 1)
    assert notifier.asked == [{"hello": ["true"]}, {"after": ["41"]}]


async def test_frames_without_a_number_and_frames_that_cannot_be_read_are_no_events() -> None:
    notifier = ScriptedNotifier([['{"type": "IGNORED"}', "[]", "not json", '{"id": "x"}', event(1)]])
    assert len(await take(notifier, 1)) == 1


async def test_a_gap_is_told_with_the_position_where_the_feed_goes_on() -> None:
    notifier = ScriptedNotifier([[json.dumps({"type": "NOT_RECOVERED", "data": {"after": 17}}), event(18)]])
    with pytest.raises(NotRecovered, match=r"position 3 .* after position 17") as told:
        await take(notifier, 1, after=3)
    assert told.value.position == 17


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_at_the_handshake_ends_it(status: int) -> None:
    notifier = ScriptedNotifier([refusal(status, {"title": "token", "detail": "The token has expired"})])
    with pytest.raises(Problem, match="The token has expired") as refused:
        await take(notifier, 1)
    assert refused.value.status == status


@pytest.mark.parametrize("trouble", [refusal(503), refusal(429), OSError("refused"), TimeoutError()])
async def test_a_notifier_that_is_away_is_tried_again_less_and_less_often(trouble: Exception) -> None:
    waits, told = Waits(), list[ServerUnreachable]()
    notifier = ScriptedNotifier([trouble, trouble, trouble, [event(1)]])
    await take(notifier, 1, waits, on_reconnect=told.append)
    assert waits.seconds == pytest.approx([0.1, 0.2, 0.4])
    assert "http://notifier.test" in str(told[0])
    assert len(told) == 3


async def test_a_connection_that_brought_an_event_ends_the_row_of_failures() -> None:
    waits = Waits()
    notifier = ScriptedNotifier([OSError(), OSError(), [event(1)], OSError(), [event(2)]])
    await take(notifier, 2, waits)
    assert waits.seconds == pytest.approx([0.1, 0.2, 0.1, 0.2])


async def test_support_and_admins_can_follow_everybody() -> None:
    notifier = ScriptedNotifier([[event(1)]])
    await take(notifier, 1, after=0, everybody=True)
    assert notifier.asked == [{"after": ["0"], "all": ["true"]}]


async def test_what_was_handled_is_acknowledged_when_the_feed_rests() -> None:
    notifier = ScriptedNotifier([[event(1), event(2), Silence()], [event(3)]])
    events = stream(notifier, after=0, acknowledge=True)
    assert (await anext(events)).id == 1
    assert (await anext(events)).id == 2
    waiting = asyncio.create_task(events.__anext__())
    async with asyncio.timeout(5):
        await notifier.sockets[0].acknowledged.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert notifier.sockets[0].sent[0] == {"ack": 2}


async def test_an_event_whose_handling_was_broken_off_is_not_acknowledged() -> None:
    notifier = ScriptedNotifier([[event(1), event(2), event(3)]])
    await take(notifier, 2, after=0, acknowledge=True)
    assert notifier.sockets[0].sent == [{"ack": 1}]


async def test_nothing_is_acknowledged_unasked() -> None:
    notifier = ScriptedNotifier([[event(1), event(2)], [event(3)]])
    await take(notifier, 3, after=0)
    assert [socket.sent for socket in notifier.sockets] == [[], []]


async def test_acknowledgements_are_gathered() -> None:
    notifier = ScriptedNotifier([[event(number) for number in range(1, 252)]])
    await take(notifier, 251, after=0, acknowledge=True)
    assert notifier.sockets[0].sent == [{"ack": 100}, {"ack": 200}, {"ack": 250}]


async def test_a_closed_stream_has_no_further_events_and_leaves_no_socket_open() -> None:
    notifier = ScriptedNotifier([[event(1), event(2)]])
    events = stream(notifier, after=0)
    await anext(events)
    await events.close()
    await events.close()
    assert [notification async for notification in events] == []
    assert notifier.sockets[0].closed
