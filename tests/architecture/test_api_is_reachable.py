"""Whatever the API can do, the client library and the command line can do too."""

import inspect
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from ratchet.cli import main
from ratchet.client import Client, ClientError, FailedFilter
from ratchet.client.endpoints import Endpoints
from ratchet.domain.workflow import WorkflowStatus

SPEC = json.loads((Path(__file__).parent.parent.parent / "docs" / "openapi.json").read_text())
ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"

OPERATIONS = {
    (method.upper(), path): operation["operationId"]
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
}

WITHOUT_METHOD: dict[str, str] = {}
"""Operations that no method of the client asks for, each with its reason."""

WITHOUT_VERB = {"requestScan": "`ratchet scan` sends the command over RabbitMQ, so that it needs no API"}
"""Operations that no verb asks for, each with its reason."""

VERBS = {
    "startWorkflow": ("start", "order-fulfilment"),
    "listWorkflows": ("list",),
    "getWorkflow": ("status", ID),
    "getHistory": ("history", ID),
    "getRecovery": ("recovery", ID, "r1"),
    "recoverWorkflow": ("recover", ID),
    "retryStep": ("retry", ID),
    "skipStep": ("skip", ID),
    "cancelWorkflow": ("cancel", ID),
    "pauseWorkflow": ("pause", ID),
    "resumeWorkflow": ("resume", ID),
    "listFailedWorkflows": ("failed",),
    "listCheckpoints": ("checkpoints", ID),
    "restoreCheckpoint": ("restore", ID, "1", "--reason", "r"),
    "overrideStatus": ("override", ID, "failed", "--reason", "r"),
    "listFailureGroups": ("groups",),
    "getOverview": ("overview",),
    "previewRestore": ("preview", ID),
    "recoverMany": ("bulk", "start", "--all", "--reason", "r", "--yes"),
    "listBulkRecoveries": ("bulk", "list"),
    "getBulkRecovery": ("bulk", "status", ID),
    "cancelBulkRecovery": ("bulk", "cancel", ID, "--reason", "r"),
    "listAudit": ("audit", "list"),
    "verifyAudit": ("audit", "verify"),
    "listParked": ("parked", "list"),
    "replayParked": ("parked", "replay", ID),
    "discardParked": ("parked", "discard", ID, "--reason", "r"),
    "getScan": ("breaker",),
}


class Listener:
    """Notes which operations are asked for; shows a group of failures and refuses everything else."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.add(operation_of(request.method, request.url.path))
        if request.url.path.endswith("/failure-groups"):
            group = {"fingerprint": "f", "definition": "d", "message": "m", "count": 1}
            return httpx2.Response(200, json={"items": [group], "nextCursor": None})
        return httpx2.Response(418, json={"title": "Only listening"})

    def client(self) -> Client:
        endpoints = Endpoints("http://api.test", "http://notifier.test", lambda: "the-token")
        return Client(endpoints, transport=httpx2.MockTransport(self))


def operation_of(method: str, path: str) -> str:
    if (method, path) in OPERATIONS:
        return str(OPERATIONS[method, path])
    for (asked, template), name in OPERATIONS.items():
        if asked == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return str(name)
    raise AssertionError(f"docs/openapi.json has no {method} {path}")


def methods_of(client: Client) -> list[Callable[..., Any]]:
    """Whatever the client and its groups offer and asks the API for something."""
    groups = [client, *(group for name, group in vars(client).items() if not name.startswith("_"))]
    others = {"close", "from_env", "notifications"}
    return [
        method
        for group in groups
        for name, method in inspect.getmembers(group, inspect.ismethod)
        if not name.startswith("_") and name not in others
    ]


def arguments_for(method: Callable[..., Any]) -> dict[str, Any]:
    """Something for every parameter that has to be given."""
    made = {"checkpoint_seq": 1, "status": WorkflowStatus.FAILED, "filters": FailedFilter()}
    needed = [name for name, each in inspect.signature(method).parameters.items() if each.default is each.empty]
    return {name: made.get(name, UUID(ID) if name.endswith("_id") else "text") for name in needed}


async def test_every_operation_is_asked_for_by_a_method_of_the_client() -> None:
    listener = Listener()
    async with listener.client() as client:
        for method in methods_of(client):
            with suppress(ClientError):
                asking = method(**arguments_for(method))
                await (anext(asking) if isinstance(asking, AsyncIterator) else asking)
    assert listener.asked | set(WITHOUT_METHOD) == set(OPERATIONS.values())
    assert not listener.asked & set(WITHOUT_METHOD)


def test_every_operation_has_a_verb_or_a_reason_for_having_none() -> None:
    assert sorted([*VERBS, *WITHOUT_VERB]) == sorted(OPERATIONS.values())


@pytest.mark.parametrize("operation", VERBS)
def test_the_verb_asks_for_its_operation(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    monkeypatch.setenv("RATCHET_TOKEN", "the-token")
    monkeypatch.setattr(Client, "from_env", classmethod(lambda _cls, *_given, **_named: listener.client()))
    main(VERBS[operation])
    assert operation in listener.asked
