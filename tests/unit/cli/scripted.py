"""Stand-ins for the network and for time: answers given in order, requests and waits written down."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from ratchet.client.endpoints import Endpoints
from ratchet.client.http_calls import Timing
from ratchet.client.workflows import Client

ENDPOINTS = Endpoints("http://api.test", "http://notifier.test", lambda: "the-token")

LOOK = re.compile(r"GET /workflows/[0-9a-f-]{36}")
"""Before something is done about a failure it is looked at once more."""

Scripted = httpx2.Response | Exception


@dataclass
class ScriptedApi:
    """Gives the answers one after the other; the last one again and again."""

    answers: list[Scripted]
    requests: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A response can be read once, and the last answer may be given again.
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def last(self) -> httpx2.Request:
        return self.requests[-1]

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].content)

    def client(self, clock: "Waits | None" = None) -> Client:
        return Client(ENDPOINTS, transport=httpx2.MockTransport(self), timing=(clock or Waits()).timing())


@dataclass
class Waits:
    """Time that does not pass; `then` is called at each wait."""

    seconds: list[float] = field(default_factory=list)
    then: Callable[[int], None] = lambda _count: None

    def timing(self) -> Timing:
        return Timing(fraction=lambda: 0.5, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.then(len(self.seconds))


def says(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    return httpx2.Response(
        status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def scripted(*answers: Scripted) -> ScriptedApi:
    return ScriptedApi(list(answers))


def problem(status: int, title: str, detail: str = "", **extra: Any) -> httpx2.Response:
    members = {"type": "x", "title": title, "status": status, "detail": detail, "correlationId": "corr-1", **extra}
    return httpx2.Response(status, json=members, headers={"content-type": "application/problem+json"})


def workflow(status: str = "InProgress", **changes: Any) -> dict[str, Any]:
    """A workflow as the API shows it."""
    return {
        "workflowId": "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa",
        "definition": "order-fulfilment",
        "version": 1,
        "ownerId": "sarah",
        "status": status,
        "currentStep": "charge_card",
        "retryCount": 0,
        "failureKind": None,
        "failureClass": None,
        "failureReason": None,
        "failedAt": None,
        "requiresManualIntervention": False,
        "waitingFor": None,
        "nextAttemptAt": None,
        "lastCheckpointAt": "2026-11-24T10:00:00Z",
        "createdAt": "2026-11-24T09:59:00Z",
        "updatedAt": "2026-11-24T10:00:01Z",
        "finishedAt": None,
        "correlationId": "corr-1",
        "steps": [
            step("reserve_stock", "done", committedAt="2026-11-24T10:00:00Z"),
            step("charge_card", "current"),
            step("send_survey", "pending", optional=True),
        ],
        "state": {"orderId": 17},
    } | changes


def step(step_id: str, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "stepId": step_id,
        "optional": False,
        "pool": "default",
        "waitsForCommand": False,
        "status": status,
        "committedAt": None,
    } | changes


def history(**changes: Sequence[Any]) -> dict[str, Any]:
    return {"attempts": [], "checkpoints": [], "events": [], "recoveries": [], "truncated": False} | changes


@dataclass
class RoutedApi:
    """Gives each route its own answers, the last one again and again."""

    answers: dict[str, list[Scripted]]
    requests: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        route = f"{request.method} {request.url.path.removeprefix('/api/v1')}"
        if route not in self.answers and LOOK.fullmatch(route):
            return says(200, workflow("Failed", etag='"as-it-is"'))
        if route not in self.answers:
            return problem(404, "No such route", route)
        script = ScriptedApi(self.answers[route])
        return script(request)

    def sent(self, method: str) -> list[httpx2.Request]:
        return [request for request in self.requests if request.method == method]
