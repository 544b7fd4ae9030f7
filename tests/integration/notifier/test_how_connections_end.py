"""Every end of a websocket has the close code that docs/notifications.md promises, as a real client sees it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from notifier import connections, signalr_face
from notifier.acknowledge import Acknowledgements
from notifier.socket import Socket
from ratchet import service

from tests.integration.notifier import conftest
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.node_peers import Peer, node_peer
from tests.integration.notifier.talk import Emitter, Notifier, token, until

HANDSHAKE = '{"protocol":"json","version":1}\x1e'
PATHS = ("/ws", "/hubs/notifications")


@asynccontextmanager
async def connected(
    notifier: Notifier, path: str = "/ws", *, bearer: str | None = None, pings: str = "answers", shakes: bool = True
) -> AsyncIterator[Peer]:
    """A client written in JavaScript; with SignalR its handshake is done."""
    address = f"ws://127.0.0.1:{notifier.port}{path}"
    async with node_peer("plain_socket.mjs", address, bearer or token("sarah"), pings) as peer:
        await peer.hear_state("open")
        if path != "/ws" and shakes:
            await peer.wish(say=HANDSHAKE)
            assert await peer.hear() == {"frame": "{}\x1e"}
        yield peer


async def ending(peer: Peer, limit: float = 10.0) -> tuple[int, str]:
    while "closed" not in (said := await peer.hear(limit)):
        pass
    return said["closed"], said["reason"]


def wire(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize("path", PATHS)
async def test_1012_when_the_instance_stops(start: Start, path: str) -> None:
    notifier = await start()
    async with connected(notifier, path) as peer:
        stopping = asyncio.create_task(notifier.stop())
        code, reason = await ending(peer)
        await stopping
    assert code == 1012
    assert "reconnect and resume" in reason


@pytest.mark.parametrize("path", PATHS)
async def test_4401_when_the_token_expires(notifier: Notifier, path: str) -> None:
    async with connected(notifier, path, bearer=token("sarah", ttl=timedelta(seconds=1.5))) as peer:
        code, reason = await ending(peer)
    assert code == 4401
    assert "token expired" in reason


@pytest.mark.parametrize("path", PATHS)
async def test_1013_when_a_client_that_did_not_read_reads_again(
    notifier: Notifier, emit: Emitter, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_LIMIT", timedelta(seconds=0.5))
    async with connected(notifier, path) as peer:
        await peer.wish(reading=False)
        for _ in range(40):
            await emit.large("sarah", kilobytes=100, count=5)
        await until(lambda: is_cut_off(notifier), limit=20)
        await peer.wish(reading=True)
        code, reason = await ending(peer)
    assert code == 1013
    assert "not reading fast enough" in reason


async def is_cut_off(notifier: Notifier) -> bool:
    async with httpx2.AsyncClient() as http:
        return 'ratchet_sockets_dropped_total{reason="slow"} 1.0' in (await http.get(f"{notifier.http}/metrics")).text


@pytest.mark.parametrize("path", PATHS)
async def test_1011_when_something_of_ours_fails(
    notifier: Notifier, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Acknowledgements, "note", fail)
    async with connected(notifier, path) as peer:
        await peer.wish(say='{"ack": 1}' if path == "/ws" else '{"type":1,"target":"Ack","arguments":[1]}\x1e')
        code, reason = await ending(peer)
    assert code == 1011
    assert "internal error" in reason


async def test_1011_when_a_conversation_ends_without_a_word(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave(*_arguments: object) -> None:
        return None

    monkeypatch.setattr("notifier.websocket_face.PlainJson.talk", leave)
    async with connected(notifier) as peer:
        code, _reason = await ending(peer)
    assert code == 1011


async def test_1011_when_a_client_answers_no_pings(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(*arguments: Any) -> Any:
        config = service.server_config(*arguments)
        config.ws_ping_interval = config.ws_ping_timeout = 0.3
        return config

    monkeypatch.setattr(conftest, "server_config", impatient)
    notifier = await start()
    async with connected(notifier, pings="answers") as idle, connected(notifier, pings="ignores") as deaf:
        assert await ending(deaf) == (1011, "keepalive ping timeout")
        await idle.wish(say="{}")
        assert "IGNORED" in (await idle.hear())["frame"]


Misdeed = Callable[[Peer], Awaitable[None]]


async def _no_json(peer: Peer) -> None:
    await peer.wish(say="hello")


async def _binary(peer: Peer) -> None:
    await peer.wish(bytes=wire(b"{}"))


async def _nonsense(peer: Peer) -> None:
    for _ in range(100):
        await peer.wish(say="{}")


async def _too_large(peer: Peer) -> None:
    await peer.wish(say="x" * 65_537)


async def _far_too_large(peer: Peer) -> None:
    await peer.wish(say="x" * 8_000_000)


async def _not_the_protocol(peer: Peer) -> None:
    await peer.wish(raw=wire(b"\xf1\x80\x00\x00\x00\x00"))


async def _no_utf8(peer: Peer) -> None:
    await peer.wish(raw=wire(b"\x81\x81\x00\x00\x00\x00\xff"))


@pytest.mark.parametrize(
    ("misdeed", "code"),
    [
        (_no_json, 1003),
        (_binary, 1003),
        (_nonsense, 1008),
        (_too_large, 1009),
        (_far_too_large, 1009),
        (_not_the_protocol, 1002),
        (_no_utf8, 1007),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_what_a_client_must_not_send_ends_with_its_own_code(
    notifier: Notifier, misdeed: Misdeed, code: int
) -> None:
    async with connected(notifier) as peer:
        await misdeed(peer)
        assert (await ending(peer))[0] == code


async def test_1002_when_a_signalr_client_never_shakes_hands(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalr_face, "HANDSHAKE_LIMIT", timedelta(seconds=0.3))
    async with connected(notifier, PATHS[1], shakes=False) as peer:
        assert await ending(peer) == (1002, "no handshake in time")


async def test_1000_when_a_signalr_client_leaves(notifier: Notifier) -> None:
    async with connected(notifier, PATHS[1]) as peer:
        await peer.wish(say='{"type":7}\x1e')
        assert (await ending(peer))[0] == 1000


async def test_a_reason_longer_than_a_close_frame_carries_is_cut_between_characters(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(_self: object, socket: Socket, *_others: object) -> None:
        await socket.close(4000, "x" + "ü" * 100)

    monkeypatch.setattr("notifier.websocket_face.PlainJson.talk", talk)
    async with connected(notifier) as peer:
        assert await ending(peer) == (4000, "x" + "ü" * 61)


async def test_too_many_sockets_are_refused_at_the_handshake(start: Start) -> None:
    notifier = await start(sockets_total=2, sockets_per_user=1)
    address = f"ws://127.0.0.1:{notifier.port}/ws"
    async with connected(notifier):
        async with node_peer("plain_socket.mjs", address, token("sarah"), "answers") as second:
            assert (await second.hear())["refused"] == 429
        async with (
            connected(notifier, bearer=token("tom")),
            node_peer("plain_socket.mjs", address, token("kim"), "answers") as third,
        ):
            assert (await third.hear())["refused"] == 503
