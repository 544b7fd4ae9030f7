"""The client's requests: what they carry, when they are repeated, how refusals look."""

from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from ratchet.client import (
    FailedFilter,
    FailedSort,
    InvalidCommand,
    Problem,
    Seen,
    ServerUnreachable,
    WaitTimeout,
    WorkflowFilter,
)
from ratchet.domain.workflow import FailureKind, WorkflowStatus

from tests.unit.cli.scripted import Waits, problem, says, scripted, workflow

ID = UUID("0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa")


async def test_a_start_carries_token_correlation_id_and_idempotency_key() -> None:
    api = scripted(says(202, {"workflowId": str(ID)}))
    async with api.client() as client:
        started = await client.start("order-fulfilment", {"orderId": 17}, correlation_id="corr-7")
    assert started.workflow_id == ID
    assert str(api.last.url) == "http://api.test/api/v1/workflows"
    assert api.last.headers["authorization"] == "Bearer the-token"
    assert api.last.headers["x-correlation-id"] == "corr-7"
    assert UUID(api.last.headers["idempotency-key"])
    assert api.body() == {"definition": "order-fulfilment", "input": {"orderId": 17}}


async def test_a_start_names_only_what_was_given() -> None:
    api = scripted(says(202, {"workflowId": str(ID)}))
    async with api.client() as client:
        await client.start("x", workflow_id=ID, version=2, owner_id="sarah", idempotency_key="once")
    assert api.body() == {"definition": "x", "input": {}, "workflowId": str(ID), "version": 2, "ownerId": "sarah"}
    assert api.last.headers["idempotency-key"] == "once"


@pytest.mark.parametrize(
    "trouble", [httpx2.ConnectError("refused"), httpx2.ReadError("cut"), says(503), says(502), says(429)]
)
async def test_a_post_is_repeated_with_the_same_key_when_the_answer_is_missing(
    trouble: httpx2.Response | Exception,
) -> None:
    api = scripted(trouble, trouble, says(202, {"workflowId": str(ID)}))
    async with api.client() as client:
        await client.start("x")
    keys = {request.headers["idempotency-key"] for request in api.requests}
    correlations = {request.headers["x-correlation-id"] for request in api.requests}
    assert len(api.requests) == 3
    assert len(keys) == len(correlations) == 1


async def test_repeats_are_bounded_and_spread() -> None:
    api, waits = scripted(httpx2.ConnectError("refused")), Waits()
    async with api.client(waits) as client:
        with pytest.raises(ServerUnreachable, match=r"http://api\.test cannot be reached .*ratchet doctor"):
            await client.get(ID)
    assert len(api.requests) == 6
    assert waits.seconds == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])


@pytest.mark.parametrize("nonsense", ["soon", "-1", "1.5"])
async def test_a_wait_that_is_no_number_of_seconds_is_passed_over(nonsense: str) -> None:
    api, waits = scripted(says(503, None, retry_after=nonsense), says(200, workflow())), Waits()
    async with api.client(waits) as client:
        await client.get(ID)
    assert waits.seconds == pytest.approx([0.1])


async def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    api, waits = scripted(says(429, None, retry_after="3"), says(200, workflow())), Waits()
    async with api.client(waits) as client:
        await client.get(ID)
    assert waits.seconds == [3]


async def test_a_wait_that_is_too_long_is_told_at_once() -> None:
    api = scripted(says(429, {"title": "Too many requests"}, retry_after="600"))
    async with api.client() as client:
        with pytest.raises(Problem, match="Too many requests"):
            await client.get(ID)
    assert len(api.requests) == 1


async def test_the_same_request_still_running_elsewhere_is_asked_for_again() -> None:
    api = scripted(says(409, {"title": "In progress"}, retry_after="2"), says(202, {"workflowId": str(ID)}))
    async with api.client() as client:
        assert (await client.start("x")).workflow_id == ID


async def test_a_refusal_keeps_title_detail_and_correlation_id_and_is_not_repeated() -> None:
    refusal = problem(409, "Step is not optional", "charge_card cannot be skipped", hint="retry")
    api = scripted(says(200, workflow("Failed")), refusal)
    async with api.client() as client:
        with pytest.raises(Problem) as refused:
            await client.skip(ID)
    assert (refused.value.status, refused.value.title) == (409, "Step is not optional")
    assert refused.value.detail == "charge_card cannot be skipped"
    assert refused.value.correlation_id == "corr-1"
    assert refused.value.extra == {"hint": "retry"}
    assert [request.method for request in api.requests] == ["GET", "POST"]


async def test_an_error_page_of_something_in_between_is_a_problem_too() -> None:
    api = scripted(httpx2.Response(404, text="<h1>nothing here</h1>"))
    async with api.client() as client:
        with pytest.raises(Problem, match="Not Found"):
            await client.get(ID)


async def test_an_answer_that_is_not_json_is_no_api() -> None:
    api = scripted(httpx2.Response(200, text="<h1>welcome</h1>"))
    async with api.client() as client:
        with pytest.raises(ServerUnreachable, match="is it Ratchet's API"):
            await client.get(ID)


@pytest.mark.parametrize("bad", ["", "x y", "ü", "x" * 129])
async def test_a_correlation_id_that_would_be_replaced_is_refused(bad: str) -> None:
    api = scripted(says(202, {"workflowId": str(ID)}))
    async with api.client() as client:
        with pytest.raises(InvalidCommand, match="1 to 128 characters"):
            await client.start("x", correlation_id=bad)
    assert api.requests == []


async def test_a_workflow_is_typed_and_keeps_members_of_newer_servers() -> None:
    sent = workflow("Failed", failureReason="card declined", invented="later")
    api = scripted(says(200, sent))
    async with api.client() as client:
        view = await client.get(ID)
    assert view.status is WorkflowStatus.FAILED
    assert view.has_ended
    assert view.step("send_survey") is not None
    assert view.to_json() == sent


async def test_filters_travel_under_the_contract_s_names() -> None:
    api = scripted(says(200, {"items": [workflow()], "nextCursor": "c2"}))
    async with api.client() as client:
        filters = WorkflowFilter(status=(WorkflowStatus.FAILED, WorkflowStatus.PAUSED), owner="sarah")
        page = await client.list(filters, cursor="c1", limit=10)
    assert page.next_cursor == "c2"
    assert page.items[0].workflow_id == ID
    assert api.last.url.params.get_list("status") == ["Failed", "Paused"]
    assert dict(api.last.url.params.items()) | {"status": ""} == {
        "status": "",
        "owner": "sarah",
        "cursor": "c1",
        "limit": "10",
    }


async def test_failed_workflows_are_filtered_and_paged_to_the_end() -> None:
    pages = (says(200, {"items": [workflow("Failed")], "nextCursor": "2"}), says(200, {"items": [workflow("Failed")]}))
    api = scripted(*pages)
    filters = FailedFilter(kind=FailureKind.POISON, older_than=timedelta(minutes=5), sort=FailedSort.NEWEST_FIRST)
    async with api.client() as client:
        found = [item async for item in client.all_failed(filters)]
    assert len(found) == 2
    first, second = (dict(request.url.params) for request in api.requests)
    assert first == {"kind": "poison", "olderThan": "300.000s", "sort": "-failedAt", "limit": "200"}
    assert second == first | {"cursor": "2"}


@pytest.mark.parametrize(
    ("act", "path"),
    [
        ("recover", "recover"),
        ("retry", "steps/current/retry"),
        ("skip", "steps/current/skip"),
        ("cancel", "cancel"),
        ("pause", "pause"),
        ("resume", "resume"),
    ],
)
async def test_each_action_posts_its_reason(act: str, path: str) -> None:
    api = scripted(says(200, {"success": True, "status": "InProgress", "resumedStep": "charge_card"}))
    async with api.client() as client:
        result = await getattr(client, act)(ID, reason="the bank is back")
    assert api.last.url.path == f"/api/v1/workflows/{ID}/{path}"
    assert api.body() == {"reason": "the bank is back"}
    assert result.success
    assert result.resumed_step == "charge_card"


@pytest.mark.parametrize("act", ["recover", "retry", "skip"])
async def test_what_is_done_about_a_failure_names_the_failure_that_is_there(act: str) -> None:
    api = scripted(says(200, workflow("Failed", etag='"e1"')), says(200, {"success": True, "status": "InProgress"}))
    async with api.client() as client:
        await getattr(client, act)(ID)
        assert [request.method for request in api.requests] == ["GET", "POST"]
        assert api.last.headers["if-match"] == '"e1"'
        await getattr(client, act)(ID, seen=Seen(etag='"e0"'))
        assert api.last.headers["if-match"] == '"e0"'
        await getattr(client, act)(ID, seen=Seen(failed_attempt=4))
    assert len(api.requests) == 4, "whoever says what was seen is not looked for"
    assert api.body() == {"failedAttempt": 4}
    assert "if-match" not in api.last.headers


async def test_restore_and_override_go_to_the_admin_routes() -> None:
    api = scripted(says(200, {"success": True, "status": "InProgress"}))
    async with api.client() as client:
        await client.restore(ID, 3, reason="wrong amount")
        await client.override(ID, WorkflowStatus.FAILED, reason="ticket 4711")
    assert [request.url.path for request in api.requests] == [
        f"/api/v1/admin/workflows/{ID}/restore",
        f"/api/v1/admin/workflows/{ID}/override",
    ]
    assert api.body(0) == {"checkpointSeq": 3, "reason": "wrong amount"}
    assert api.body(1) == {"status": "Failed", "reason": "ticket 4711"}


async def test_an_outcome_that_is_not_known_at_first_is_looked_for_where_the_answer_says() -> None:
    place = f"/api/v1/workflows/{ID}/recoveries/r1"
    api = scripted(
        says(200, workflow("Failed", etag='"e1"')),
        says(202, {"recoveryId": "r1"}, location=place),
        says(200, {"recoveryId": "r1", "outcome": "requested", "success": None}),
        says(200, {"recoveryId": "r1", "outcome": "resumed", "success": True, "resumedStep": "charge_card"}),
    )
    async with api.client() as client:
        result = await client.recover(ID)
    assert result.success
    assert result.resumed_step == "charge_card"
    assert [request.url.path for request in api.requests[2:]] == [place, place]


@pytest.mark.parametrize(("outcome", "status"), [("refused", 409), ("failed", 500)])
async def test_a_late_refusal_or_failure_is_a_problem_like_an_early_one(outcome: str, status: int) -> None:
    late = {"recoveryId": "r1", "outcome": outcome, "success": False, "problem": "wrong-status", "detail": "Not now."}
    early = says(202, {}, location="/api/v1/workflows/x/recoveries/r1")
    api = scripted(says(200, workflow("Failed")), early, says(200, late))
    async with api.client() as client:
        with pytest.raises(Problem, match=r"Not now\.") as refused:
            await client.retry(ID)
    assert refused.value.status == status
    assert refused.value.extra == {"success": False, "recoveryId": "r1"}


async def test_waiting_ends_with_the_workflow() -> None:
    api = scripted(says(200, workflow()), says(200, workflow("Executing")), says(200, workflow("Completed")))
    async with api.client() as client:
        view = await client.wait(ID)
    assert view.status is WorkflowStatus.COMPLETED
    assert len(api.requests) == 3


async def test_waiting_looks_less_often_while_nothing_moves() -> None:
    waits = Waits()
    api = scripted(*[says(200, workflow())] * 12, says(200, workflow("Failed")))
    async with api.client(waits) as client:
        await client.wait(ID)
    assert waits.seconds[0] == pytest.approx(0.1)
    assert waits.seconds == sorted(waits.seconds)
    assert waits.seconds[-1] == 1


async def test_waiting_gives_up_after_its_timeout() -> None:
    api = scripted(says(200, workflow()))
    async with api.client() as client:
        with pytest.raises(WaitTimeout, match="goes on by itself"):
            await client.wait(ID, timedelta(0))


async def test_an_unknown_workflow_may_appear_while_it_is_waited_for() -> None:
    api = scripted(problem(404, "Unknown workflow"), says(200, workflow("Completed")))
    async with api.client() as client:
        view = await client.wait(ID, appears_within=timedelta(minutes=1))
    assert view.status is WorkflowStatus.COMPLETED


async def test_an_unknown_workflow_is_a_problem_otherwise() -> None:
    api = scripted(problem(404, "Unknown workflow"))
    async with api.client() as client:
        with pytest.raises(Problem, match="Unknown workflow"):
            await client.wait(ID)
