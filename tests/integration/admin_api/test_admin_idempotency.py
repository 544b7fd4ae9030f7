import asyncio
import uuid
from datetime import timedelta
from typing import Any

import aio_pika
import httpx2
import pytest
import pytest_asyncio
from admin_api.once import Answer, OnceOnly, Post
from admin_api.problems import Problem, ProblemType
from ratchet.adapters.postgres.idempotency import IdempotencyKeys

from tests.integration.admin_api.admin_stage import ADMIN, SARAH, TOM, Rows, ScriptedRecovery, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "/api/v1/workflows"
KEY = {"Idempotency-Key": "key-1"}
BODY: dict[str, Any] = {"definition": "orders", "input": {"a": 1}}


@pytest_asyncio.fixture(loop_scope="module")
async def failed(rows: Rows) -> uuid.UUID:
    return await rows.workflow(status="Failed")


async def _starts(broker: aio_pika.abc.AbstractChannel) -> int:
    queue = await broker.get_queue("executor.steps.default")
    count = 0
    while await queue.get(no_ack=True, fail=False) is not None:
        count += 1
    return count


async def test_the_same_post_again_gets_the_same_answer_and_has_no_second_effect(
    api: httpx2.AsyncClient, rows: Rows, broker: aio_pika.abc.AbstractChannel
) -> None:
    first = await api.post(START, json=BODY, headers=SARAH | KEY)
    again = await api.post(START, json={"input": {"a": 1}, "definition": "orders"}, headers=SARAH | KEY)
    assert (again.status_code, again.json(), again.headers["Location"]) == (
        202,
        first.json(),
        first.headers["Location"],
    )
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert await _starts(broker) == 1


async def test_posts_at_once_have_one_effect_and_one_answer(
    api: httpx2.AsyncClient, rows: Rows, broker: aio_pika.abc.AbstractChannel
) -> None:
    answers = await asyncio.gather(*(api.post(START, json=BODY, headers=SARAH | KEY) for _ in range(10)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert await _starts(broker) == 1


async def test_recoveries_at_once_under_one_key_are_one_command(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    path = f"/api/v1/workflows/{failed}/recover"
    answers = await asyncio.gather(*(api.post(path, headers=SARAH | KEY) for _ in range(5)))
    assert {(answer.status_code, answer.json()["recoveryId"]) for answer in answers} == {
        (200, answers[0].json()["recoveryId"])
    }
    assert len(recovery.commands) == 1


async def test_a_refusal_by_recovery_is_also_repeated_as_it_was(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    path = f"/api/v1/workflows/{failed}/recover"
    recovery.script = lambda _command: {"outcome": "refused", "problem": "wrong-status", "status": None}
    first = await api.post(path, headers=SARAH | KEY)
    recovery.script = lambda _command: {}
    again = await api.post(path, headers=SARAH | KEY)
    assert (first.status_code, again.status_code, again.json()) == (400, 400, first.json())
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("other", [{"input": {"a": 2}}, {"version": 2}, {"workflowId": str(uuid.uuid4())}])
async def test_the_key_with_another_body_is_a_422(api: httpx2.AsyncClient, rows: Rows, other: dict[str, Any]) -> None:
    await api.post(START, json=BODY, headers=SARAH | KEY)
    answer = await api.post(START, json=BODY | other, headers=SARAH | KEY)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:ratchet:problem:idempotency-key-reused")


async def test_the_key_on_another_route_or_workflow_is_a_422(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID, rows: Rows
) -> None:
    await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH | KEY)
    other = await rows.workflow(status="Failed")
    for path in (f"/api/v1/workflows/{failed}/cancel", f"/api/v1/workflows/{other}/recover"):
        assert (await api.post(path, headers=SARAH | KEY)).status_code == 422
    assert len(recovery.commands) == 1


async def test_keys_of_different_people_do_not_meet(api: httpx2.AsyncClient, rows: Rows) -> None:
    hers = await api.post(START, json=BODY, headers=SARAH | KEY)
    his = await api.post(START, json=BODY | {"input": {}}, headers=TOM | KEY)
    assert (hers.status_code, his.status_code) == (202, 202)
    assert hers.json() != his.json()


async def test_a_key_is_free_again_when_nothing_was_done_under_it(api: httpx2.AsyncClient, rows: Rows) -> None:
    unknown = await api.post(START, json={"definition": "none"}, headers=SARAH | KEY)
    assert unknown.status_code == 422
    assert (await api.post(START, json=BODY, headers=SARAH | KEY)).status_code == 202


async def test_a_key_does_not_open_what_its_owner_may_not_do(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    path = f"/api/v1/workflows/{failed}/recover"
    assert (await api.post(path, headers=ADMIN | KEY)).status_code == 200
    assert (await api.post(path, headers=TOM | KEY)).status_code == 403


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\u00fc"])
async def test_a_malformed_key_is_a_400(api: httpx2.AsyncClient, rows: Rows, key: str) -> None:
    headers = [*SARAH.items(), ("Idempotency-Key", key.encode())]
    answer = await api.post(START, json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:ratchet:problem:invalid-idempotency-key")


async def test_an_unknown_effect_is_taken_up_again_under_the_same_id(rows: Rows) -> None:
    once = OnceOnly(IdempotencyKeys(rows.pool), longest=timedelta(seconds=5))
    seen: list[uuid.UUID] = []

    async def operation(operation_id: uuid.UUID) -> Answer:
        seen.append(operation_id)
        if len(seen) == 1:
            raise ConnectionError("cut off in the middle")
        return Answer(200, {})

    post = Post("sarah", "key-1", "start", {})
    with pytest.raises(ConnectionError):
        await once.run(post, operation)
    assert (await once.run(post, operation)).status == 200
    assert seen[0] == seen[1]


async def test_a_key_whose_holder_died_is_taken_over_under_the_same_id(rows: Rows) -> None:
    keys = IdempotencyKeys(rows.pool)
    request = keys.request(principal="sarah", key="key-1", route="start", body_hash=b"h")
    died = await keys.claim(request, hold=timedelta(milliseconds=1))

    async def take_over() -> uuid.UUID | None:
        return (await keys.claim(request, hold=timedelta(seconds=30))).operation_id

    assert await eventually(take_over) == died.operation_id
    assert (await keys.claim(request, hold=timedelta(seconds=30))).operation_id is None


async def test_whoever_waits_too_long_for_the_first_answer_is_told_to_come_back(rows: Rows) -> None:
    keys = IdempotencyKeys(rows.pool)
    once = OnceOnly(keys, longest=timedelta(milliseconds=300))
    post = Post("sarah", "key-1", "start", {})
    release = asyncio.Event()

    async def slow(_operation_id: uuid.UUID) -> Answer:
        await release.wait()
        return Answer(200, {"n": 1})

    first = asyncio.create_task(once.run(post, slow))
    await eventually(lambda: rows.pool.fetchval("SELECT count(*) FROM idempotency_keys"))
    with pytest.raises(Problem) as refusal:
        await once.run(post, slow)
    assert refusal.value.kind is ProblemType.REQUEST_IN_PROGRESS
    release.set()
    assert (await first).body == {"n": 1}


async def test_answers_are_kept_for_a_day(rows: Rows) -> None:
    keys = IdempotencyKeys(rows.pool)
    for key, hours in (("old", 25), ("young", 23)):
        await keys.claim(keys.request(principal="s", key=key, route="r", body_hash=b""), hold=timedelta(seconds=1))
        await rows.pool.execute(
            "UPDATE idempotency_keys SET created_at = now() - $2::interval WHERE key = $1", key, timedelta(hours=hours)
        )
    assert await keys.prune(timedelta(hours=24)) == 1
    assert await rows.pool.fetchval("SELECT key FROM idempotency_keys") == "young"
