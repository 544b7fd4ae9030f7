"""`GET /events`: the same feed for EventSource, curl and htmx, resumed by `Last-Event-ID`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.talk import ORIGIN, Emitter, Notifier, token, until


@dataclass
class Stream:
    """An event stream that is read block by block."""

    lines: AsyncIterator[str]
    headers: httpx2.Headers
    got: list[dict[str, str]] = field(default_factory=list)

    async def block(self, limit: float = 5.0) -> dict[str, str]:
        """The next block that says something, as fields; comments are passed over."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(limit):
            async for line in self.lines:
                name, _, value = line.partition(":")
                if line and name:
                    fields[name] = value.removeprefix(" ")
                elif not line and fields:
                    return fields
        raise EOFError

    async def ids(self, count: int) -> list[int]:
        return [int((await self.block())["id"]) for _ in range(count)]


@asynccontextmanager
async def stream(
    notifier: Notifier, bearer: str | None = None, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[Stream]:
    full = {**(headers or {}), **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    async with (
        httpx2.AsyncClient(timeout=30) as http,
        http.stream("GET", f"{notifier.http}/events", headers=full, params=query) as answer,
    ):
        answer.raise_for_status()
        opened = Stream(answer.aiter_lines(), answer.headers)
        assert await opened.block() == {"retry": "2000"}
        yield opened


async def test_an_event_has_id_name_and_data(notifier: Notifier, emit: Emitter) -> None:
    async with stream(notifier, token("sarah")) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.headers["x-accel-buffering"] == "no"
        await emit("sarah")
        block = await events.block()
    assert block["id"] == "1"
    assert block["event"] == "WORKFLOW_COMPLETED"
    assert orjson.loads(block["data"])["workflowId"]


async def test_the_stream_resumes_after_the_last_event_id_whatever_the_address_says(
    notifier: Notifier, emit: Emitter
) -> None:
    await emit("sarah", count=5)
    async with stream(notifier, token("sarah"), after=0) as events:
        assert await events.ids(5) == [1, 2, 3, 4, 5]
    async with stream(notifier, token("sarah"), {"Last-Event-ID": "3"}, after=0) as events:
        assert await events.ids(2) == [4, 5]
        await emit("sarah")
        assert await events.ids(1) == [6]


async def test_a_cursor_that_is_too_far_is_said_and_put_right(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=2)
    async with stream(notifier, token("sarah"), after=0) as events:
        await events.ids(2)
    async with stream(notifier, token("sarah"), {"Last-Event-ID": "99"}) as events:
        assert await events.block() == {"id": "2"}
        assert await events.block() == {"event": "NOT_RECOVERED", "data": '{"after":2}'}
        await emit("sarah")
        assert await events.ids(1) == [3]


async def test_staff_may_stream_everybodys_events_and_others_may_not(notifier: Notifier, emit: Emitter) -> None:
    async with stream(notifier, token("kim", "support"), all="true", after=0) as events:
        await emit("tom")
        assert await events.ids(1) == [1]
    with pytest.raises(httpx2.HTTPStatusError, match="403"):
        async with stream(notifier, token("tom"), all="true"):
            pass


BAD_REQUESTS: list[tuple[dict[str, str], int]] = [
    ({}, 401),
    ({"Authorization": "Bearer x"}, 401),
    ({"Authorization": f"Bearer {token('sarah')}", "Origin": "https://evil.example"}, 403),
    ({"Authorization": f"Bearer {token('sarah')}", "Last-Event-ID": "x"}, 400),
]


async def test_a_bad_request_is_refused(notifier: Notifier) -> None:
    async with httpx2.AsyncClient() as http:
        for headers, status in BAD_REQUESTS:
            answer = await http.get(f"{notifier.http}/events", headers=headers)
            assert answer.status_code == status, headers
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status


async def test_a_refusal_that_passes_is_an_empty_stream_that_says_when_to_come_back(start: Start) -> None:
    notifier = await start(sockets_per_user=1)
    async with stream(notifier, token("sarah")), httpx2.AsyncClient() as http:
        url = f"{notifier.http}/events"
        answer = await http.get(url, headers={"Authorization": f"Bearer {token('sarah')}", "Origin": ORIGIN})
        metrics = (await http.get(f"{notifier.http}/metrics")).text
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    retry, comment = answer.text.strip().splitlines()
    assert 2000 <= int(retry.removeprefix("retry: ")) <= 3000
    assert comment.startswith(": 429 user-limit: ")
    assert 'ratchet_sockets_refused_total{reason="user-limit"} 1.0' in metrics


async def test_who_begins_with_the_newest_has_a_place_before_the_first_event(notifier: Notifier, emit: Emitter) -> None:
    await emit("sarah", count=3)
    async with stream(notifier, token("sarah")) as events:
        assert await events.ids(3) == [1, 2, 3]
    async with stream(notifier, token("sarah"), after="newest") as events:
        assert await events.block() == {"id": "3"}
        await emit("sarah")
        assert await events.ids(1) == [4]


async def test_a_page_of_a_listed_origin_may_read_the_stream(notifier: Notifier) -> None:
    async with stream(notifier, headers={"Origin": ORIGIN}, access_token=token("sarah")) as events:
        assert events.headers["access-control-allow-origin"] == ORIGIN
        assert events.headers["access-control-allow-credentials"] == "true"


async def test_the_stream_ends_when_the_token_expires(notifier: Notifier) -> None:
    async with stream(notifier, token("sarah", ttl=timedelta(seconds=1.2))) as events:
        with pytest.raises(EOFError):
            await events.block(limit=4)


async def test_a_stopping_service_ends_its_streams_at_once(start: Start, emit: Emitter) -> None:
    notifier = await start()
    async with stream(notifier, token("sarah"), after=0) as events:
        await emit("sarah")
        await events.ids(1)
        async with asyncio.timeout(3):
            await notifier.stop()
        with pytest.raises(EOFError):
            await events.block()


async def test_a_stream_whose_client_leaves_is_forgotten(notifier: Notifier, emit: Emitter) -> None:
    async with stream(notifier, token("sarah"), after=0) as events:
        await emit("sarah")
        await events.ids(1)

    async def is_forgotten() -> bool:
        async with httpx2.AsyncClient() as http:
            return 'ratchet_sockets_open{face="sse"} 0.0' in (await http.get(f"{notifier.http}/metrics")).text

    await until(is_forgotten)
