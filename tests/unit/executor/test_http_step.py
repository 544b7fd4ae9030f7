"""An `http_step` calls out with the idempotency key, and what comes back decides how the step went."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from executor.http_step import MAX_ANSWER_BYTES, HttpCaller
from ratchet import PermanentError, StepContext, TransientError, Workflow
from ratchet.authoring import HttpCall
from ratchet.domain.egress import EgressRules

Answer = Callable[[str, dict[str, str], bytes], bytes]


class Counterpart:
    """A small HTTP server on loopback that remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}'
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((lines[0], headers, body))
        writer.write(self.answer)
        writer.close()

    def answers(self, status: str, body: bytes = b"", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
        self.answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
async def counterpart() -> AsyncIterator[Counterpart]:
    server = Counterpart()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()


@pytest.fixture
async def caller() -> AsyncIterator[HttpCaller]:
    open_caller = HttpCaller(EgressRules.of(["127.0.0.0/8"]))
    yield open_caller
    await open_caller.close()


def call(counterpart: Counterpart) -> HttpCall:
    return HttpCall("POST", f"http://127.0.0.1:{counterpart.port}/notify?a=1", (), b"{}")


async def test_the_state_goes_out_with_the_idempotency_key_and_the_answer_comes_into_the_state(
    counterpart: Counterpart, caller: HttpCaller, context: StepContext
) -> None:
    workflow = Workflow("orders")
    workflow.http_step("notify", url=call(counterpart).url, into="receipt", headers={"X-Api": "1"}, optional=True)
    assert workflow.definition.steps[0].optional
    state = await workflow.steps[0].run(replace(context, call_http=caller), {"order": 7})
    assert state == {"order": 7, "receipt": {"ok": True}}
    line, headers, body = counterpart.requests[0]
    assert line == "POST /notify?a=1 HTTP/1.1"
    assert headers["idempotency-key"] == context.idempotency_key
    assert headers["x-correlation-id"] == context.correlation_id
    assert headers["x-api"] == "1"
    assert body == b'{"order":7}'


@pytest.mark.parametrize("status", ["500 No", "503 No", "408 No", "429 No"])
async def test_a_passing_trouble_is_transient(counterpart: Counterpart, caller: HttpCaller, status: str) -> None:
    counterpart.answers(status)
    with pytest.raises(TransientError, match=status[:3]):
        await caller(call(counterpart))


@pytest.mark.parametrize("status", ["400 No", "401 No", "404 No", "409 No", "301 Moved", "302 Found"])
async def test_everything_else_is_permanent(counterpart: Counterpart, caller: HttpCaller, status: str) -> None:
    counterpart.answers(status, Location="http://127.0.0.1:1/")
    with pytest.raises(PermanentError, match=status[:3]):
        await caller(call(counterpart))
    assert len(counterpart.requests) == 1, "a redirect is not followed"


async def test_retry_after_is_honoured(counterpart: Counterpart, caller: HttpCaller) -> None:
    counterpart.answers("503 Busy", **{"Retry-After": "7"})
    with pytest.raises(TransientError) as caught:
        await caller(call(counterpart))
    assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ("0", None),
        ("9" * 5000, timedelta(days=1)),
        ("999999999999", timedelta(days=1)),
        ("\xb2", None),
        ("-3", None),
        ("1.5", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=1)),
        ("", None),
    ],
)
async def test_a_retry_after_that_means_nothing_leaves_the_trouble_a_passing_one(
    counterpart: Counterpart, caller: HttpCaller, told: str, wait: timedelta | None
) -> None:
    counterpart.answer = (
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: " + told.encode("latin-1") + b"\r\n\r\n"
    )
    with pytest.raises(TransientError, match="503") as caught:
        await caller(call(counterpart))
    assert caught.value.retry_after == wait


async def test_as_many_calls_as_are_made_are_under_way_at_once(caller: HttpCaller) -> None:
    """A host that is slow is asked by all of them; nobody waits, on its own time, for a connection of ours."""
    together, number = asyncio.Event(), 120
    arrived = 0

    async def answer_when_all_are_there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1
        if arrived == number:
            together.set()
        await together.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    listening = await asyncio.start_server(answer_when_all_are_there, "127.0.0.1", 0, backlog=number)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(caller(HttpCall("GET", url, (), b"")) for _ in range(number)))
    assert answers == [{}] * number
    listening.close()


async def test_a_refused_connection_is_transient(caller: HttpCaller) -> None:
    with pytest.raises(TransientError):
        await caller(HttpCall("POST", "http://127.0.0.1:1/", (), b""))


async def test_an_answer_that_is_too_large_is_cut_off(counterpart: Counterpart, caller: HttpCaller) -> None:
    counterpart.answers("200 OK", b"x" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(PermanentError, match="larger"):
        await caller(call(counterpart))


async def test_large_integers_go_out_and_come_back_to_the_last_digit(
    counterpart: Counterpart, caller: HttpCaller, context: StepContext
) -> None:
    counterpart.answers("200 OK", b'{"booking": 1180591620717411303425}')
    workflow = Workflow("orders")
    workflow.http_step("notify", url=call(counterpart).url, into="receipt")
    state = await workflow.steps[0].run(replace(context, call_http=caller), {"order": -(2**63) - 1})
    assert state == {"order": -(2**63) - 1, "receipt": {"booking": 2**70 + 1}}
    assert counterpart.requests[0][2] == b'{"order":-9223372036854775809}'


async def test_an_answer_with_a_number_that_cannot_be_kept_is_permanent_and_says_where(
    counterpart: Counterpart, caller: HttpCaller
) -> None:
    counterpart.answers("200 OK", b'{"rate": [1e400]}')
    with pytest.raises(PermanentError, match=r"rate\.0: a number is too large"):
        await caller(call(counterpart))


async def test_an_answer_that_is_no_json_is_permanent(counterpart: Counterpart, caller: HttpCaller) -> None:
    counterpart.answers("200 OK", b"<html>")
    with pytest.raises(PermanentError, match="not JSON"):
        await caller(call(counterpart))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_a_private_address_is_refused_however_it_is_written(counterpart: Counterpart, host: str) -> None:
    strict = HttpCaller(EgressRules.of([]))
    with pytest.raises((PermanentError, TransientError)):
        await strict(HttpCall("POST", f"http://{host}:{counterpart.port}/", (), b"{}"))
    await strict.close()
    assert counterpart.requests == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x/", "http://user:pw@127.0.0.1/", "http:///x"])
async def test_an_address_that_is_no_plain_web_address_is_refused(caller: HttpCaller, url: str) -> None:
    with pytest.raises(PermanentError):
        await caller(HttpCall("GET", url, (), b""))
