"""The pages on top of bulk recovery, parked messages and the audit log, with an API that answers as it is told."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from admin_api.app import create_app
from ratchet.settings import Settings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.integration.admin_api.admin_stage import EPOCH, Rows, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = EPOCH.isoformat()
NASTY = "<script>alert(1)</script>"


@dataclass
class Told:
    """What the routes answer, and what they were asked."""

    run: dict[str, Any] = field(
        default_factory=lambda: {
            "recoveryId": "r-1",
            "state": "running",
            "detail": None,
            "reason": NASTY,
            "actor": "ada",
            "createdAt": AT,
            "total": 3,
            "started": 1,
            "verified": 0,
            "relapsed": 0,
            "failed": 0,
            "skipped": 0,
            "items": [{"workflowId": "w-1", "outcome": "started", "detail": None}],
            "nextCursor": None,
        }
    )
    posts: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)

    def routes(self) -> list[Route]:
        parked = {
            "id": "p-1",
            "messageId": "m-1",
            "type": "workflow.start",
            "exchange": "e",
            "routingKey": "k",
            "reason": NASTY,
            "body": NASTY,
            "parkedBy": "executor",
            "parkedAt": AT,
        }
        entry = {
            "id": 1,
            "workflowId": "0000-w",
            "actor": NASTY,
            "action": "recover",
            "reason": NASTY,
            "before": {"status": "Failed"},
            "after": {"status": "InProgress"},
            "outcome": "resumed",
            "correlationId": "c",
            "at": AT,
        }

        async def post(request: Request) -> JSONResponse:
            self.posts.append((request.url.path, await request.json(), request.headers.get("idempotency-key")))
            return JSONResponse({"recoveryId": "r-1", "total": 3}, 202)

        def page(items: list[dict[str, Any]]) -> JSONResponse:
            return JSONResponse({"items": items, "nextCursor": None})

        prefix = "/api/v1/admin"
        return [
            Route(f"{prefix}/recoveries", lambda _request: page([self.run]), methods=["GET"]),
            Route(f"{prefix}/recoveries", post, methods=["POST"]),
            Route(f"{prefix}/recoveries/r-1", lambda _request: JSONResponse(self.run)),
            Route(f"{prefix}/recoveries/r-1/cancel", post, methods=["POST"]),
            Route(f"{prefix}/parked", lambda _request: page([parked])),
            Route(f"{prefix}/parked/p-1/replay", post, methods=["POST"]),
            Route(f"{prefix}/parked/p-1/discard", post, methods=["POST"]),
            Route(f"{prefix}/audit", lambda _request: page([entry])),
        ]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(settings: Settings, rows: Rows, told: Told) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(settings)
    app.router.routes[:0] = told.routes()
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://d") as http:
        await http.post("/sign-in", data={"token": token("ada", "admin")})
        yield http


async def submit(browser: httpx2.AsyncClient, page: str, action: str, **fields: str) -> httpx2.Response:
    text = (await browser.get(page)).text
    form = re.search(rf'<form(?=[^>]*method="post")[^>]*action="{action}"[^>]*>(.*?)</form>', text, re.DOTALL)
    assert form, text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[1]))
    return await browser.post(action, data=hidden | fields)


async def test_a_bulk_recovery_begins_with_the_filter_the_reason_and_the_canaries(
    browser: httpx2.AsyncClient, rows: Rows, told: Told
) -> None:
    for _ in range(3):
        await rows.workflow(status="Failed", failure_class="E")
    fields = {"reason": "The bank is back", "confirm": "3", "canary": "2"}
    begun = await submit(browser, "/bulk/new?step=reserve&olderThan=5m", "/bulk", **fields)
    assert (begun.status_code, begun.headers["location"]) == (303, "/bulk/r-1")
    [(path, body, key)] = told.posts
    assert path == "/api/v1/admin/recoveries"
    assert body == {
        "filter": {"step": "reserve", "olderThan": "5m"},
        "expected": 3,
        "reason": "The bank is back",
        "canary": 2,
    }
    assert key


@pytest.mark.parametrize("canary", ["9" * 5000, "1001", "-1", "²", "a few"])
async def test_a_count_of_canaries_that_is_none_is_asked_for_again(
    browser: httpx2.AsyncClient, rows: Rows, told: Told, canary: str
) -> None:
    await rows.workflow(status="Failed", failure_class="E")
    answer = await submit(browser, "/bulk/new", "/bulk", reason="r", confirm="1", canary=canary)
    assert answer.status_code == 422
    assert told.posts == []


async def test_without_a_filter_all_are_meant_and_said_to_be(
    browser: httpx2.AsyncClient, rows: Rows, told: Told
) -> None:
    await rows.workflow(status="Failed", failure_class="E")
    await submit(browser, "/bulk/new", "/bulk", reason="r", confirm="1", canary="5")
    [(_path, body, _key)] = told.posts
    assert body == {"all": True, "expected": 1, "reason": "r", "canary": 5}


async def test_a_run_is_shown_as_far_as_it_is_and_tells_when_it_stopped_itself(
    browser: httpx2.AsyncClient, told: Told
) -> None:
    page = (await browser.get("/bulk/r-1")).text
    assert "0 of 3 verified" in page
    assert NASTY not in page
    assert "Stopped by itself" not in page
    live = re.search(r'hx-get="(/bulk/r-1/live[^"]+)"', page)
    assert live
    assert (await browser.get(live[1])).status_code == 204
    told.run |= {"state": "stopped", "relapsed": 1, "items": [{"workflowId": "w-1", "outcome": "relapsed"}]}
    news = (await browser.get(live[1])).text
    assert "Stopped by itself" in news
    assert "relapsed" in news
    assert "/cancel" not in news


async def test_a_running_one_can_be_told_to_begin_no_more(browser: httpx2.AsyncClient, told: Told) -> None:
    answer = await submit(browser, "/bulk/r-1", "/bulk/r-1/cancel", reason="Enough")
    assert (answer.status_code, answer.headers["location"]) == (303, "/bulk/r-1")
    assert told.posts[0][:2] == ("/api/v1/admin/recoveries/r-1/cancel", {"reason": "Enough"})


async def test_runs_parked_messages_and_the_audit_log_are_listed_as_text(browser: httpx2.AsyncClient) -> None:
    for path, expected in (
        ("/bulk", "0 of 3 verified"),
        ("/parked", "workflow.start"),
        ("/audit", "Failed → InProgress"),
    ):
        page = (await browser.get(path)).text
        assert expected in page
        assert NASTY not in page


async def test_a_parked_message_is_sent_again_or_discarded_with_a_reason(
    browser: httpx2.AsyncClient, told: Told
) -> None:
    assert (await submit(browser, "/parked", "/parked/p-1/replay")).status_code == 303
    assert (await submit(browser, "/parked", "/parked/p-1/discard", reason="Old")).status_code == 303
    assert [post[:2] for post in told.posts] == [
        ("/api/v1/admin/parked/p-1/replay", {}),
        ("/api/v1/admin/parked/p-1/discard", {"reason": "Old"}),
    ]
