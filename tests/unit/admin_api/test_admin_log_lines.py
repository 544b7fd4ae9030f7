"""What the API writes into its log about requests: news, and nothing for a page that only stays open."""

from typing import Any

import pytest
import structlog
from admin_api.dashboard.own_api import client_of
from admin_api.observe import Observe
from prometheus_client import CollectorRegistry
from ratchet.observability.metrics import AdminMetrics
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient


def levels(paths: list[str]) -> list[tuple[str, str]]:
    """The level of each line about an answer, with its route."""

    async def page(_request: Request) -> Response:
        assert (await inner.get("/api/v1/workflows")).status_code == 200
        return PlainTextResponse("page")

    async def listed(_request: Request) -> Response:
        return PlainTextResponse("workflows")

    async def missing(_request: Request) -> Response:
        return PlainTextResponse("gone", 404)

    routes = [
        Route("/", page),
        Route("/live/strip", page),
        Route("/workflows/1/live", page),
        Route("/live/missing", missing),
        Route("/api/v1/workflows", listed),
    ]
    app = Observe(Starlette(routes=routes), AdminMetrics(CollectorRegistry()))
    inner = client_of(app)
    with structlog.testing.capture_logs() as lines, TestClient(app) as client:
        for path in paths:
            client.get(path)
    told: list[dict[str, Any]] = [dict(line) for line in lines if line["event"] == "http.answered"]
    return [(line["log_level"], line["route"]) for line in told]


@pytest.mark.parametrize("path", ["/live/strip", "/workflows/1/live"])
def test_a_page_that_brings_itself_up_to_date_writes_no_lines_nor_do_its_questions(path: str) -> None:
    assert {level for level, _route in levels([path])} == {"debug"}


def test_a_visit_a_call_and_a_refresh_that_fails_are_told() -> None:
    told = levels(["/", "/api/v1/workflows", "/live/missing"])
    assert [level for level, _route in told] == ["info"] * 4
