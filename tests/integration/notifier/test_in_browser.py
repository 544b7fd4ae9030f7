"""The notifier as a page in Chromium sees it: EventSource, WebSocket and the SignalR client, from another origin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import httpx2
from local_stack.ports import choose_port
from local_stack.servers import RunningServers
from ratchet.service import GracefulServer, claim_port, server_config
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

from tests.integration.notifier.chromium import Page, browser_page
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.node_peers import installed_peers
from tests.integration.notifier.talk import Emitter, Notifier, token

PAGE = "<!doctype html><title>page</title><script src='/signalr.js'></script><script>const got = []</script>"


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    """Somebody's web application; gives its origin."""
    script = await asyncio.to_thread(installed_peers)
    path = script / "node_modules" / "@microsoft" / "signalr" / "dist" / "browser" / "signalr.min.js"
    routes = [
        Route("/", lambda _request: HTMLResponse(PAGE)),
        Route("/signalr.js", lambda _request: FileResponse(path)),
    ]
    listener = claim_port("127.0.0.1", 0)
    config = server_config(Starlette(routes=routes))
    config.lifespan = "off"
    server = GracefulServer(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # signals are pytest's
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def page_on(origin: str) -> AsyncIterator[Page]:
    async with browser_page() as page:
        await page.open(f"{origin}/")
        yield page


async def ids(page: Page, count: int) -> list[int]:
    await page.wait_for(f"got.length >= {count}", limit=20)
    return [int(one) for one in await page.run("got")]


async def test_event_source_resumes_by_itself_over_a_restart_and_misses_nothing(start: Start, emit: Emitter) -> None:
    async with site() as origin, page_on(origin) as page:
        port = choose_port(taken=set())
        first = await start(port=port, allowed_origins=(origin,))
        await emit("sarah", count=3)
        await page.run(
            f"""source = new EventSource("{first.http}/events?after=0&access_token={token("sarah")}");
            source.addEventListener("WORKFLOW_COMPLETED", event => got.push(event.lastEventId)); 1"""
        )
        assert await ids(page, 3) == [1, 2, 3]
        await first.stop()
        await start(port=port, allowed_origins=(origin,))
        await emit("sarah", count=2)
        assert await ids(page, 5) == [1, 2, 3, 4, 5]


async def test_event_source_comes_back_by_itself_when_the_database_was_away(
    start: Start, emit: Emitter, servers: RunningServers
) -> None:
    async with site() as origin, page_on(origin) as page:
        port = choose_port(taken=set())
        first = await start(port=port, allowed_origins=(origin,))
        await emit("sarah", count=2)
        await page.run(
            f"""refusals = 0;
            source = new EventSource("{first.http}/events?access_token={token("sarah")}");
            source.onerror = () => refusals++;
            source.addEventListener("WORKFLOW_COMPLETED", event => got.push(event.lastEventId)); 1"""
        )
        assert await ids(page, 2) == [1, 2]
        await asyncio.to_thread(servers["postgres"].kill)
        try:
            first.server.server_state.connections.copy().pop().transport.abort()  # type: ignore[union-attr]  # any of them
            await page.wait_for("refusals >= 2", limit=20)
            assert await page.run("source.readyState") == 0  # EventSource.CONNECTING: it goes on trying
            await emit("sarah", count=2)
        finally:
            await asyncio.to_thread(servers["postgres"].start)
        assert await ids(page, 4) == [1, 2, 3, 4]


async def test_a_page_connects_with_a_ticket_and_no_token_in_the_address(start: Start, emit: Emitter) -> None:
    async with site() as origin, page_on(origin) as page:
        notifier = await start(allowed_origins=(origin,))
        await page.run(
            f"""(async () => {{
                const answer = await fetch("{notifier.http}/ticket",
                    {{method: "POST", headers: {{Authorization: "Bearer {token("sarah")}"}}}});
                const {{ticket}} = await answer.json();
                socket = new WebSocket("ws://127.0.0.1:{notifier.port}/ws?after=0&ticket=" + ticket);
                socket.onmessage = message => {{
                    const event = JSON.parse(message.data);
                    got.push(event.id);
                    socket.send(JSON.stringify({{ack: event.id}}));
                }};
                await new Promise(opened => socket.onopen = opened);
            }})()"""
        )
        await emit("sarah", count=2)
        assert await ids(page, 2) == [1, 2]


async def test_a_page_that_is_not_listed_gets_neither_socket_nor_stream(start: Start) -> None:
    async with site() as origin, page_on(origin) as page:
        notifier = await start(allowed_origins=("https://app.example",))
        bearer = token("sarah")
        refused = await page.run(
            f"""new Promise(done => {{
                const socket = new WebSocket("ws://127.0.0.1:{notifier.port}/ws?access_token={bearer}");
                socket.onopen = () => done("open");
                socket.onclose = () => done("refused");
            }})"""
        )
        assert refused == "refused"
        closed = await page.run(
            f"""new Promise(done => {{
                const source = new EventSource("{notifier.http}/events?access_token={bearer}");
                source.onopen = () => done("open");
                source.onerror = () => done(source.readyState);
            }})"""
        )
        assert closed == 2  # EventSource.CLOSED: it does not try again


async def test_the_signalr_client_of_the_browser_connects_from_another_origin(start: Start, emit: Emitter) -> None:
    async with site() as origin, page_on(origin) as page:
        notifier = await start(allowed_origins=(origin,))
        await _connect_hub(page, notifier)
        await emit("sarah", count=3)
        assert await ids(page, 3) == [1, 2, 3]
        async with httpx2.AsyncClient() as http:
            assert 'ratchet_sockets_open{face="signalr"} 1.0' in (await http.get(f"{notifier.http}/metrics")).text


async def _connect_hub(page: Page, notifier: Notifier) -> None:
    await page.run(
        f"""(async () => {{
            hub = new signalR.HubConnectionBuilder()
                .withUrl("{notifier.http}/hubs/notifications", {{accessTokenFactory: () => "{token("sarah")}"}})
                .withAutomaticReconnect().build();
            hub.on("WORKFLOW_COMPLETED", data => got.push(data.id));
            await hub.start();
        }})()"""
    )
