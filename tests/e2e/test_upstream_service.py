"""Any service that can publish JSON can start workflows and drive their waiting steps."""

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.harness.person import Person
from tests.harness.platform import Platform

SERVICE = Path(__file__).with_name("upstream_service.py")


def _publish(platform: Platform, routing_key: str, body: dict[str, Any]) -> None:
    command = [sys.executable, "-I", str(SERVICE), platform.upstream.amqp_url, routing_key, json.dumps(body)]
    subprocess.run(command, check=True, timeout=30)


def _start(platform: Platform, owner: Person) -> uuid.UUID:
    workflow_id = uuid.uuid4()
    document = {"title": "A plan", "author": owner.name}
    body = {"workflowId": str(workflow_id), "definition": "document-approval", "ownerId": owner.name, "input": document}
    _publish(platform, "workflow.start", body)
    return workflow_id


def _decide(platform: Platform, workflow_id: uuid.UUID, decision: dict[str, Any]) -> None:
    _publish(platform, "step.execute", {"workflowId": str(workflow_id), "stepId": "approve", "inputs": decision})


def test_twenty_lines_of_pika_start_a_workflow_and_drive_its_waiting_step(platform: Platform, sarah: Person) -> None:
    workflow_id = _start(platform, sarah)
    waiting = sarah.wait_for(workflow_id, lambda seen: seen.get("waitingFor"), "waiting")
    assert (waiting["status"], waiting["waitingFor"]) == ("InProgress", "approve")
    _decide(platform, workflow_id, {"approved": True, "by": "li"})
    state = sarah.wait_for_status(workflow_id, "Completed", "Failed")["state"]
    assert (state["approved_by"], state["published"]) == ("li", True)


def test_a_decision_that_fails_the_step_fails_the_workflow_for_good(platform: Platform, sarah: Person) -> None:
    workflow_id = _start(platform, sarah)
    _decide(platform, workflow_id, {"approved": False, "by": "li"})
    seen = sarah.wait_for_status(workflow_id, "Completed", "Failed")
    assert (seen["status"], seen["failureKind"]) == ("Failed", "permanent")
    assert "Refused by li" in seen["failureReason"]
