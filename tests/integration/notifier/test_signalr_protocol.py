"""`/hubs/notifications` on the wire: handshake, records, calls, and the last word."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
import websockets
from notifier.connections import SEND_LIMIT

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.talk import ORIGIN, Client, Emitter, Notifier, token

END = "\x1e"
HUB = "/hubs/notifications"


@dataclass
class Hub(Client):
    """A client that splits frames into records."""

    records: list[dict[str, Any]] = field(default_factory=list)

    async def record(self, limit: float = 5.0) -> dict[str, Any]:
        while not self.records:
            async with asyncio.timeout(limit):
                frame = await self.socket.recv()
            assert isinstance(frame, str)
            assert frame.endswith(END)
            self.records += [orjson.loads(part) for part in frame.split(END)[:-1]]
        return self.records.pop(0)

    async def say(self, *messages: dict[str, Any]) -> None:
        await self.socket.send("".join(orjson.dumps(message).decode() + END for message in messages))

    async def events(self, count: int) -> list[int]:
        ids: list[int] = []
        while len(ids) < count:
            record = await self.record()
            if record["type"] == 1:
                ids.append(record["arguments"][0]["id"])
        return ids


async def hub(notifier: Notifier, bearer: str, version: int = 1, **query: Any) -> Hub:
    client = Hub((await notifier.connect(bearer, path=HUB, **query)).socket)
    await client.say({"protocol": "json", "version": version}, {"type": 6})
    assert await client.record() == {}
    return client


async def negotiate(notifier: Notifier, bearer: str | None = None, query: str = "", **headers: str) -> httpx2.Response:
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    async with httpx2.AsyncClient() as http:
        return await http.post(f"{notifier.http}{HUB}/negotiate{query}", headers=headers)


async def test_negotiation_offers_websockets_and_nothing_else(notifier: Notifier) -> None:
    answer = (await negotiate(notifier, token("sarah"), "?negotiateVersion=1&useStatefulReconnect=true")).json()
    assert answer["negotiateVersion"] == 1
    assert answer["connectionId"] != answer["connectionToken"]
    assert answer["availableTransports"] == [{"transport": "WebSockets", "transferFormats": ["Text"]}]
    assert "useStatefulReconnect" not in answer
    old = (await negotiate(notifier, token("sarah"))).json()
    assert old["negotiateVersion"] == 0
    assert "connectionToken" not in old


async def test_negotiation_refuses_bad_tokens_foreign_pages_and_other_peoples_feeds(notifier: Notifier) -> None:
    assert (await negotiate(notifier)).status_code == 401
    assert (await negotiate(notifier, "x")).status_code == 401
    assert (await negotiate(notifier, token("sarah"), Origin="https://evil.example")).status_code == 403
    assert (await negotiate(notifier, token("sarah"), "?all=true")).status_code == 403
    listed = await negotiate(notifier, token("sarah"), Origin=ORIGIN)
    assert listed.headers["access-control-allow-origin"] == ORIGIN


async def test_a_page_of_a_listed_origin_may_ask_before_it_negotiates(notifier: Notifier) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,x-requested-with,x-signalr-user-agent"
    async with httpx2.AsyncClient() as http:
        answer = await http.options(f"{notifier.http}{HUB}/negotiate", headers=asked)
        foreign = await http.options(
            f"{notifier.http}{HUB}/negotiate", headers=asked | {"Origin": "https://evil.example"}
        )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert foreign.status_code == 400


async def test_events_come_as_invocations_named_after_the_event(notifier: Notifier, emit: Emitter) -> None:
    client = await hub(notifier, token("sarah"), id="whatever")
    await emit("sarah")
    record = await client.record()
    assert record["type"] == 1
    assert record["target"] == "WORKFLOW_COMPLETED"
    assert "invocationId" not in record
    [data] = record["arguments"]
    assert data["id"] == 1
    assert data["workflowId"]


async def test_a_cursor_in_the_address_replays(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=50)
    await (await hub(notifier, token("sarah"), after=0)).events(50)
    for version in (0, 1):
        client = await hub(notifier, token("sarah"), version, after=7)
        assert await client.events(43) == list(range(8, 51))


async def test_subscribe_moves_to_a_cursor_and_says_whether_everything_is_there(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=5)
    await (await hub(notifier, token("sarah"), after=0)).events(5)
    client = await hub(notifier, token("sarah"))
    await client.say({"type": 1, "invocationId": "a", "target": "Subscribe", "arguments": [{"after": 2}]})
    assert await client.record() == {"type": 3, "invocationId": "a", "result": {"recovered": True, "after": 2}}
    assert await client.events(3) == [3, 4, 5]
    await client.say({"type": 1, "invocationId": "b", "target": "subscribe", "arguments": [99]})
    answers = [await client.record(), await client.record()]
    assert {"type": 3, "invocationId": "b", "result": {"recovered": False, "after": 5}} in answers
    assert {"type": 1, "target": "NOT_RECOVERED", "arguments": [{"after": 5}]} in answers
    await emit("sarah")
    assert await client.events(1) == [6]


async def test_an_acknowledged_place_is_taken_up_by_the_next_connection(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=4)
    client = await hub(notifier, token("sarah"), after=0)
    await client.events(4)
    await client.say({"type": 1, "target": "Ack", "arguments": [3]})
    await client.socket.close()
    assert await (await hub(notifier, token("sarah"))).events(1) == [4]


async def test_unknown_methods_are_answered_only_if_an_answer_is_waited_for(notifier: Notifier, emit: Emitter) -> None:
    client = await hub(notifier, token("sarah"))
    for target, arguments in (("Drop", []), ("Subscribe", ["x"]), ("Subscribe", []), ("Ack", [-1]), ("Ack", [1, 2])):
        await client.say({"type": 1, "target": target, "arguments": arguments})
        await client.say({"type": 1, "invocationId": "7", "target": target, "arguments": arguments})
        answer = await client.record()
        assert answer["type"] == 3
        assert "result" not in answer
    await emit("sarah")
    assert await client.events(1) == [1]


NO_HANDSHAKES = (
    "x",
    "{}\x1e",
    '{"protocol":"messagepack","version":1}\x1e',
    '{"protocol":"json","version":2}\x1e',
    "[]\x1e",
)


async def test_a_handshake_that_is_none_is_answered_with_an_error(notifier: Notifier) -> None:
    for first in NO_HANDSHAKES:
        client = Hub((await notifier.connect(token("sarah"), path=HUB)).socket)
        await client.socket.send(first)
        assert (await client.record())["error"], first
        assert await client.closed_with() == 1002


async def test_a_client_that_leaves_politely_is_let_go(notifier: Notifier) -> None:
    client = await hub(notifier, token("sarah"))
    await client.say({"type": 7})
    assert await client.closed_with() == 1000


async def test_when_the_token_expires_the_client_is_told_to_come_back(notifier: Notifier) -> None:
    client = await hub(notifier, token("sarah", ttl=timedelta(seconds=1.5)))
    assert await client.record() == {"type": 7, "allowReconnect": True}
    assert await client.closed_with() == 4401


async def test_a_stopping_service_tells_its_clients_to_come_back(start: Start) -> None:
    notifier = await start()
    client = await hub(notifier, token("sarah"))
    stopping = asyncio.create_task(notifier.stop())
    assert await client.record() == {"type": 7, "allowReconnect": True}
    assert await client.closed_with() == 1012
    await stopping


async def test_a_flood_of_nonsense_ends_the_connection_for_good(notifier: Notifier) -> None:
    client = await hub(notifier, token("sarah"))
    await client.say(*({"type": "x"} for _ in range(100)))
    goodbye = await client.record()
    assert goodbye["type"] == 7
    assert "error" in goodbye
    assert "allowReconnect" not in goodbye
    assert await client.closed_with(SEND_LIMIT.total_seconds()) == 1008


async def test_a_ticket_survives_the_negotiation_and_opens_one_socket(notifier: Notifier) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{notifier.http}/ticket", headers={"Authorization": f"Bearer {token('sarah')}"})
    ticket = answer.json()["ticket"]
    assert (await negotiate(notifier, query=f"?negotiateVersion=1&ticket={ticket}")).status_code == 200
    await notifier.connect(path=HUB, ticket=ticket)
    with pytest.raises(websockets.InvalidStatus, match="401"):
        await notifier.connect(path=HUB, ticket=ticket)
