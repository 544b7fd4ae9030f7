import asyncio
import json
import uuid

import aio_pika
import httpx2
import orjson
import pytest

from tests.integration.admin_api.admin_stage import ADMIN, SARAH, SUPPORT, TOM, Rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "/api/v1/workflows"


async def _started(broker: aio_pika.abc.AbstractChannel) -> list[aio_pika.abc.AbstractIncomingMessage]:
    queue = await broker.get_queue("executor.steps.default")
    found = []
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        found.append(message)
    return found


async def test_a_start_is_published_as_the_command_of_the_contract(
    api: httpx2.AsyncClient, rows: Rows, broker: aio_pika.abc.AbstractChannel
) -> None:
    body = {"definition": "orders", "version": 2, "input": {"orderId": "A-1", "digits": 10**30}}
    answer = await api.post(START, json=body, headers=SARAH | {"X-Correlation-ID": "c:mine_1"})
    assert (answer.status_code, answer.headers["X-Correlation-ID"]) == (202, "c:mine_1")
    workflow_id = answer.json()["workflowId"]
    [message] = await _started(broker)
    assert (message.routing_key, message.type, message.correlation_id) == (
        "workflow.start",
        "workflow.start",
        "c:mine_1",
    )
    assert message.message_id
    assert json.loads(message.body) == {"workflowId": workflow_id, "ownerId": "sarah", **body}


async def test_nothing_is_left_in_the_outbox_once_the_broker_has_confirmed(api: httpx2.AsyncClient, rows: Rows) -> None:
    await api.post(START, json={"definition": "orders"}, headers=SARAH)
    assert await rows.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_start_is_kept_when_the_broker_does_not_take_it(cut_off_api: httpx2.AsyncClient, rows: Rows) -> None:
    api = cut_off_api
    answer = await api.post(START, json={"definition": "orders"}, headers=SARAH)
    assert answer.status_code == 202
    [row] = await rows.pool.fetch("SELECT * FROM outbox")
    assert (row["routing_key"], orjson.loads(row["body"])["workflowId"]) == (
        "workflow.start",
        answer.json()["workflowId"],
    )
    assert (await api.get(answer.headers["Location"], headers=SARAH)).json()["status"] == "NotStarted"


async def test_a_start_can_be_seen_before_any_executor_has_taken_it_up(api: httpx2.AsyncClient, rows: Rows) -> None:
    location = (await api.post(START, json={"definition": "orders"}, headers=SARAH)).headers["Location"]
    answer = (await api.get(location, headers=SARAH)).json()
    assert (answer["status"], answer["ownerId"], answer["version"]) == ("NotStarted", "sarah", 2)
    assert [(step["stepId"], step["optional"], step["status"]) for step in answer["steps"]] == [
        ("reserve", False, "pending"),
        ("charge", False, "pending"),
        ("survey", True, "pending"),
    ]
    assert (await api.get(location + "/history", headers=SARAH)).json()["attempts"] == []
    assert (await api.get(location, headers=TOM)).status_code == 403
    assert [item["status"] for item in (await api.get(START, headers=SARAH)).json()["items"]] == ["NotStarted"]


async def test_an_unknown_definition_or_version_is_a_422(api: httpx2.AsyncClient, rows: Rows) -> None:
    for body in ({"definition": "none"}, {"definition": "orders", "version": 3}):
        answer = await api.post(START, json=body, headers=SARAH)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:ratchet:problem:unknown-definition")


async def test_the_same_start_again_changes_nothing(
    api: httpx2.AsyncClient, rows: Rows, broker: aio_pika.abc.AbstractChannel
) -> None:
    body = {"definition": "orders", "workflowId": str(uuid.uuid4()), "input": {"a": 1}}
    answers = [await api.post(START, json=body, headers=SARAH) for _ in range(3)]
    assert {(answer.status_code, answer.json()["workflowId"]) for answer in answers} == {(202, body["workflowId"])}
    assert len(await _started(broker)) == 1


async def test_another_start_under_a_taken_id_is_a_409(api: httpx2.AsyncClient, rows: Rows) -> None:
    body = {"definition": "orders", "workflowId": str(uuid.uuid4()), "input": {"a": 1}}
    await api.post(START, json=body, headers=SARAH)
    assert (await api.post(START, json=body | {"input": {"a": 2}}, headers=SARAH)).status_code == 409
    assert (await api.post(START, json=body, headers=TOM)).status_code == 409
    begun = await rows.workflow()
    assert (await api.post(START, json=body | {"workflowId": str(begun)}, headers=SARAH)).status_code == 409


async def test_starts_of_one_id_at_once_are_one_start(
    api: httpx2.AsyncClient, rows: Rows, broker: aio_pika.abc.AbstractChannel
) -> None:
    body = {"definition": "orders", "workflowId": str(uuid.uuid4())}
    answers = await asyncio.gather(*(api.post(START, json=body, headers=SARAH) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await _started(broker)) == 1


async def test_only_staff_may_start_for_others_and_a_refusal_is_audited(api: httpx2.AsyncClient, rows: Rows) -> None:
    body = {"definition": "orders", "ownerId": "sarah"}
    assert (await api.post(START, json=body, headers=SARAH)).status_code == 202
    assert (await api.post(START, json=body, headers=TOM)).status_code == 403
    [entry] = await rows.audit()
    assert (entry["actor"], entry["action"], entry["outcome"]) == ("tom", "start", "refused")
    for staff in (SUPPORT, ADMIN):
        started = await api.post(START, json=body, headers=staff)
        assert (await api.get(started.headers["Location"], headers=staff)).json()["ownerId"] == "sarah"


async def test_promises_are_forgotten_once_the_workflow_exists(api: httpx2.AsyncClient, rows: Rows) -> None:
    from admin_api.prune import prune_once
    from ratchet.adapters.postgres.accepted_starts import AcceptedStarts
    from ratchet.adapters.postgres.idempotency import IdempotencyKeys

    first = (await api.post(START, json={"definition": "orders"}, headers=SARAH)).json()["workflowId"]
    second = (await api.post(START, json={"definition": "orders"}, headers=SARAH)).json()["workflowId"]
    await rows.workflow(id=uuid.UUID(first))
    await prune_once(AcceptedStarts(rows.pool), IdempotencyKeys(rows.pool))
    assert [str(row["workflow_id"]) for row in await rows.pool.fetch("SELECT * FROM accepted_starts")] == [second]
    assert (await api.get(f"{START}/{first}", headers=SARAH)).json()["status"] == "InProgress"
