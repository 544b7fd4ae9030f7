"""The socket that every service listens on."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from ratchet.observability.health import health_routes
from ratchet.service import UNREAD_LIMIT, GracefulServer, claim_port, inherited_listener, server_config
from starlette.applications import Starlette


def test_a_claimed_port_refuses_connections_until_somebody_listens_and_then_belongs_to_nobody_else() -> None:
    with claim_port("127.0.0.1", 0) as claimed:
        port = claimed.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        claimed.listen()
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        with pytest.raises(OSError, match="in use"):
            claim_port("127.0.0.1", port)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can do that")
def test_connections_inherit_the_limit_on_what_stays_unread() -> None:
    with claim_port("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as connection:
            limit = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == UNREAD_LIMIT.total_seconds() * 1000


def test_a_listener_that_is_handed_on_stays_open_and_is_not_handed_on_further() -> None:
    with claim_port("127.0.0.1", 0) as held:
        held.listen()
        copy = os.dup(held.fileno())
        os.set_inheritable(copy, True)
        with inherited_listener(copy) as listener:
            assert listener.getsockname() == held.getsockname()
            assert not listener.get_inheritable()
        with socket.create_connection(held.getsockname(), timeout=1):
            held.accept()[0].close()


def test_what_is_handed_on_and_does_not_listen_stops_the_start() -> None:
    with claim_port("127.0.0.1", 0) as deaf, pytest.raises(OSError, match="RATCHET_LISTEN_FD"):
        inherited_listener(deaf.fileno())


async def answered(app: Starlette, path: str, *, drain: float) -> tuple[GracefulServer, "asyncio.Task[None]", str]:
    listener = claim_port("127.0.0.1", 0)
    server = GracefulServer(server_config(app), drain=timedelta(seconds=drain))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # signals are pytest's
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
    return server, task, f"http://127.0.0.1:{listener.getsockname()[1]}{path}"


@asynccontextmanager
async def no_lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
    yield {}


async def test_a_service_that_was_asked_to_stop_answers_on_and_says_that_it_is_not_ready() -> None:
    app = Starlette(routes=health_routes(CollectorRegistry(), {}), lifespan=no_lifespan)
    server, task, url = await answered(app, "/readyz", drain=0.5)
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(url)).status_code == 200
        server.should_exit = True
        await asyncio.sleep(0.3)
        leaving = await http.get(url)
        assert leaving.status_code == 503
        assert leaving.json()["reasons"] == {"leaving": "asked to stop"}
        assert leaving.headers["connection"] == "close"
        assert (await http.get(url.replace("readyz", "healthz"))).status_code == 200
        await task
        with pytest.raises(httpx2.ConnectError):
            await http.get(url)


async def test_a_connection_that_was_accepted_last_gets_its_answer() -> None:
    app = Starlette(routes=health_routes(CollectorRegistry(), {}), lifespan=no_lifespan)
    server, task, url = await answered(app, "", drain=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    async with asyncio.timeout(5):
        while not server.server_state.connections:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
    server.should_exit = True
    await asyncio.sleep(0.2)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    await task


def test_a_port_of_the_wrong_address_is_an_error() -> None:
    with pytest.raises(OSError, match=r"."):
        claim_port("203.0.113.1", 0)
