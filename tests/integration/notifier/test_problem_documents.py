"""Whatever the notifier refuses over HTTP is a problem document in the form that the admin API has."""

from typing import Any

import httpx2
import orjson
import pytest
import websockets

from tests.integration.notifier.talk import Notifier, token

SARAH = {"Authorization": f"Bearer {token('sarah')}"}

REFUSALS: list[tuple[str, str, dict[str, str], Any, int, str]] = [
    ("GET", "/events", {}, None, 401, "unauthenticated"),
    ("GET", "/events?all=true", SARAH, None, 403, "forbidden"),
    ("GET", "/events?after=x", SARAH, None, 400, "invalid-request"),
    ("POST", "/ticket", {}, None, 401, "unauthenticated"),
    ("POST", "/hubs/notifications/negotiate", {}, None, 401, "unauthenticated"),
    ("PUT", "/preferences", SARAH, {"muted": ["X"]}, 422, "invalid-request"),
    ("PUT", "/preferences", SARAH, {"muted": ["X" * 20_000]}, 413, "too-large"),
    ("GET", "/nothing-here", {}, None, 404, "not-found"),
    ("POST", "/events", SARAH, None, 405, "method-not-allowed"),
]


async def test_every_refusal_is_a_problem_with_type_and_correlation_id(notifier: Notifier) -> None:
    async with httpx2.AsyncClient(base_url=notifier.http) as http:
        for method, path, headers, body, status, slug in REFUSALS:
            asked = {**headers, "X-Correlation-ID": "mine-1"}
            answer = await http.request(method, path, headers=asked, json=body)
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.headers["x-correlation-id"] == "mine-1"
            problem = answer.json()
            assert problem.pop("title")
            assert problem.pop("detail")
            assert problem == {
                "type": f"urn:ratchet:problem:{slug}",
                "status": status,
                "correlationId": "mine-1",
            }, path


@pytest.mark.parametrize(("path", "status"), [("/ws", 401), ("/hubs/notifications", 401), ("/elsewhere", 404)])
async def test_a_refused_websocket_handshake_carries_one_as_well(notifier: Notifier, path: str, status: int) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await notifier.connect(path=path)
    response = refusal.value.response
    problem = orjson.loads(response.body or b"{}")
    assert problem["status"] == response.status_code == status
    assert problem["type"].startswith("urn:ratchet:problem:")
    assert problem["correlationId"] == response.headers["x-correlation-id"]
