"""Commands that cannot be carried out are kept with the reason; repeated ones change nothing."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.harness.person import Person
from tests.harness.platform import Platform
from tests.harness.upstream import start_body
from tests.harness.waiting import until

NOBODY = uuid.UUID(int=0)


@pytest.mark.parametrize(
    ("routing_key", "body", "reason"),
    [
        ("workflow.start", b"{no json", "JSON"),
        ("workflow.start", {"workflowId": str(uuid.uuid4()), "definition": "delivery"}, "ownerId"),
        ("workflow.start", start_body("not-an-id", "sarah", "delivery", {}), "workflowId"),
        ("workflow.start", start_body(uuid.uuid4(), "sarah", "no-such-workflow", {}), "no-such-workflow"),
        ("workflow.start", start_body(uuid.uuid4(), "sarah", "delivery", {}) | {"priority": 1}, "priority"),
        ("step.execute", {"workflowId": str(NOBODY), "stepId": "approve", "inputs": {}}, str(NOBODY)),
        ("step.default", {"workflow": "?"}, "workflow"),
        ("recovery.SkipStep", {"workflowId": "?", "actor": "sarah"}, "workflowId"),
    ],
)
def test_a_message_that_cannot_be_understood_is_parked_with_the_reason(
    platform: Platform, routing_key: str, body: Any, reason: str
) -> None:
    message_id = str(uuid.uuid4())
    platform.upstream.send(routing_key, body, message_id=message_id)
    parked = platform.upstream.parked_as(message_id)
    assert reason in parked.reason
    assert parked.headers["x-ratchet-routing-key"] == routing_key
    assert parked.body == (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_start_without_a_message_id_is_parked_because_it_could_not_be_told_from_its_repetition(
    platform: Platform, sarah: Person
) -> None:
    workflow_id = platform.upstream.start(sarah.name, "delivery", {}, message_id=None)
    parked = platform.upstream.parked_with(str(workflow_id))
    assert "message_id" in parked.reason
    assert sarah.workflow(workflow_id) == {}


def test_a_step_command_for_a_step_that_the_definition_lacks_is_parked(platform: Platform, sarah: Person) -> None:
    workflow_id = sarah.start("document-approval", {"title": "A plan"})
    message_id = str(uuid.uuid4())
    platform.upstream.execute_step(workflow_id, "sing", {}, message_id=message_id)
    assert "sing" in platform.upstream.parked_as(message_id).reason


def test_the_same_start_again_is_ignored(
    platform: Platform, sarah: Person, assert_all_completed_once: Callable[..., None]
) -> None:
    workflow_id, first = uuid.uuid4(), str(uuid.uuid4())
    for message_id in (first, first, str(uuid.uuid4())):
        platform.upstream.start(sarah.name, "delivery", {"no": 1}, workflow_id=workflow_id, message_id=message_id)
    assert_all_completed_once([workflow_id], 5)
    platform.upstream.start(sarah.name, "delivery", {"no": 1}, workflow_id=workflow_id)
    _wait_until_handled(platform, sarah)
    assert len(platform.stage.executions(workflow_id)) == 5
    assert sarah.workflow(workflow_id)["status"] == "Completed"


def test_a_start_with_a_known_id_and_other_content_is_parked_and_the_workflow_left_alone(
    platform: Platform, sarah: Person, assert_all_completed_once: Callable[..., None]
) -> None:
    workflow_id = platform.upstream.start(sarah.name, "delivery", {"no": 1})
    assert_all_completed_once([workflow_id], 5)
    message_id = str(uuid.uuid4())
    platform.upstream.start(sarah.name, "delivery", {"no": 2}, workflow_id=workflow_id, message_id=message_id)
    parked = platform.upstream.parked_as(message_id)
    assert "other content" in parked.reason
    assert sarah.workflow(workflow_id)["state"]["no"] == 1


def test_a_bad_member_of_a_bulk_start_is_parked_alone(
    platform: Platform, sarah: Person, assert_all_completed_once: Callable[..., None]
) -> None:
    good = [uuid.uuid4() for _ in range(9)]
    bad = start_body(uuid.uuid4(), sarah.name, "no-such-workflow", {})
    bodies: list[Any] = [start_body(each, sarah.name, "delivery", {}) for each in good]
    bodies.insert(4, bad)
    message_id = str(uuid.uuid4())
    platform.upstream.start_many(bodies, message_id=message_id)
    assert_all_completed_once(good, 5)
    parked = platform.upstream.parked_as(message_id)
    assert json.loads(parked.body) == bad
    assert "no-such-workflow" in parked.reason


def _wait_until_handled(platform: Platform, owner: Person) -> UUID:
    """A workflow that was asked for later is done, so the executor has seen what came before it."""
    workflow_id = platform.upstream.start(owner.name, "delivery", {})
    owner.wait_for_status(workflow_id, "Completed")
    return workflow_id


def test_what_somebody_else_put_among_the_parked_messages_is_listed_and_leaves_the_queue_when_it_is_discarded(
    platform: Platform,
) -> None:
    ada = platform.person("ada", "admin")
    platform.upstream.put_among_parked(b"found on the floor")

    def listed() -> list[dict[str, Any]]:
        return [item for item in ada.get("/admin/parked")["items"] if item["body"] == "found on the floor"]

    [found] = until(listed, bool, what="the message to be listed")
    assert ada.post(f"/admin/parked/{found['id']}/discard", {"reason": "It is nobody's"}).status_code == 200
    assert listed() == []
    until(
        lambda: platform.sql("SELECT queued FROM parked_messages WHERE id = $1", UUID(found["id"])),
        lambda rows: rows == [{"queued": False}],
        what="the copy to leave the queue",
    )
