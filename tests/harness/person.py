"""A person with a token who talks to the HTTP API and looks at workflows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2

from tests.harness.listener import Listener
from tests.harness.waiting import PATIENCE, until

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """`name` is the token's subject, so it is also the owner of what this person starts."""

    name: str
    token: str
    api_url: str
    notifier_url: str
    http: httpx2.Client

    def get(self, path: str, **query: str) -> Json:
        """Read something; anything but 200 is a failure."""
        response = self._request("GET", path, params=query)
        assert response.status_code == 200, f"GET {path}: {response.status_code} {response.text}"
        answer: Json = response.json()
        return answer

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        """Ask for something; any answer is an answer."""
        return self._request("POST", path, json=None if body is None else dict(body))

    def start(self, definition: str, input: Mapping[str, Any], **more: Any) -> UUID:  # noqa: A002  # as on the wire
        """Start a workflow of one's own."""
        response = self.post("/workflows", {"definition": definition, "input": dict(input), **more})
        assert response.status_code == 202, response.text
        return UUID(response.json()["workflowId"])

    def workflow(self, workflow_id: UUID) -> Json:
        """One workflow as it stands; an empty one while it is not known yet."""
        response = self._request("GET", f"/workflows/{workflow_id}")
        assert response.status_code in {200, 404}, response.text
        return dict(response.json()) if response.status_code == 200 else {}

    def history(self, workflow_id: UUID) -> Json:
        """Attempts, checkpoints, events and recoveries of a workflow."""
        return self.get(f"/workflows/{workflow_id}/history")

    def committed_steps(self, workflow_id: UUID) -> list[str]:
        """The steps that have a checkpoint, oldest first."""
        return [checkpoint["stepId"] for checkpoint in self.history(workflow_id)["checkpoints"]]

    def failed_attempts(self, workflow_id: UUID) -> list[Json]:
        """Executions that failed, oldest first."""
        return [attempt for attempt in self.history(workflow_id)["attempts"] if attempt["outcome"] == "failed"]

    def wait_for_status(self, workflow_id: UUID, *wanted: str, within: timedelta = PATIENCE) -> Json:
        """The workflow once it has one of these statuses."""
        return self.wait_for(workflow_id, lambda seen: seen.get("status") in wanted, " or ".join(wanted), within)

    def wait_for(
        self, workflow_id: UUID, holds: Callable[[Json], object], what: str, within: timedelta = PATIENCE
    ) -> Json:
        """The workflow once something holds for it."""
        return until(
            lambda: self.workflow(workflow_id), holds, what=f"workflow {workflow_id} to be {what}", within=within
        )

    def listen(self, *, after: int | None = 0, everybody: bool = False) -> Listener:
        """This person's page; to be opened with `with`."""
        return Listener(self.notifier_url, self.token, after, everybody)

    def _request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.http.request(method, f"{self.api_url}/api/v1{path}", headers=headers, **more)
