"""The client library against the running platform."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from ratchet.client import (
    Client,
    CommandPublisher,
    Envelope,
    FailedFilter,
    Notification,
    NotRecovered,
    Problem,
    StartWorkflow,
    WaitTimeout,
    WorkflowFilter,
)
from ratchet.domain.breaker import BreakerState
from ratchet.domain.bulk_recovery import BulkState
from ratchet.domain.workflow import WorkflowStatus

from tests.harness.platform import Platform

SOON = timedelta(seconds=20)


def trouble(step: str, kind: str, times: int = -1) -> dict[str, Any]:
    return {"trouble": {step: {"kind": kind, "times": times}}}


async def test_a_workflow_is_started_waited_for_and_read(client: Client) -> None:
    started = await client.start("delivery", trouble("charge_card", "transient", 1), correlation_id="client-test-1")
    done = await client.wait(started.workflow_id, SOON)
    assert done.status is WorkflowStatus.COMPLETED
    assert [step.status for step in done.steps] == ["done"] * 5
    history = await client.history(started.workflow_id)
    assert [attempt.outcome for attempt in history.attempts if attempt.step_id == "charge_card"] == [
        "failed",
        "succeeded",
    ]
    assert next(item for item in history.attempts if item.outcome == "failed").correlation_id == "client-test-1"


async def test_the_same_start_again_is_the_same_workflow(client: Client) -> None:
    key = str(uuid.uuid4())
    first = await client.start("delivery", {"n": 1}, idempotency_key=key)
    second = await client.start("delivery", {"n": 1}, idempotency_key=key)
    assert first.workflow_id == second.workflow_id
    with pytest.raises(Problem) as refused:
        await client.start("delivery", {"n": 2}, idempotency_key=key)
    assert refused.value.status == 422


async def test_a_failed_workflow_is_listed_mended_and_recovered(client: Client, platform: Platform) -> None:
    started = await client.start("delivery", trouble("book_carrier", "permanent"))
    failed = await client.wait(started.workflow_id, SOON)
    assert failed.status is WorkflowStatus.FAILED
    listed = [item.workflow_id async for item in client.all_failed(FailedFilter(step="book_carrier"))]
    assert started.workflow_id in listed
    platform.stage.mend(started.workflow_id)
    result = await client.recover(started.workflow_id, reason="the carrier is back")
    assert result.success
    assert result.resumed_step == "book_carrier"
    assert (await client.wait(started.workflow_id, SOON)).status is WorkflowStatus.COMPLETED


async def test_a_refusal_is_a_problem_with_its_status(client: Client) -> None:
    started = await client.start("delivery")
    await client.wait(started.workflow_id, SOON)
    for act, status in ((client.recover, 400), (client.retry, 409), (client.skip, 409)):
        with pytest.raises(Problem) as refused:
            await act(started.workflow_id)
        assert refused.value.status == status
        assert refused.value.correlation_id


async def test_every_page_of_a_list_is_reached(client: Client) -> None:
    ids = {(await client.start("delivery")).workflow_id for _ in range(3)}
    seen: set[uuid.UUID] = set()
    cursor: str | None = None
    while not ids <= seen:
        page = await client.list(WorkflowFilter(definition="delivery"), cursor=cursor, limit=2)
        seen |= {item.workflow_id for item in page.items}
        cursor = page.next_cursor
        if cursor is None:
            break
    assert ids <= seen


async def test_waiting_ends_before_a_workflow_that_is_held(client: Client, platform: Platform) -> None:
    started = await client.start("delivery", {"hold": ["ship_parcel"]})
    with pytest.raises(WaitTimeout):
        await client.wait(started.workflow_id, timedelta(milliseconds=300))
    platform.stage.release(started.workflow_id, "ship_parcel")
    assert (await client.wait(started.workflow_id, SOON)).status is WorkflowStatus.COMPLETED


async def test_many_are_recovered_and_waited_for(client: Client, platform: Platform) -> None:
    owner = f"owner-{uuid.uuid4().hex[:8]}"
    ids = [
        (await client.start("delivery", trouble("charge_card", "permanent"), owner_id=owner)).workflow_id
        for _ in range(2)
    ]
    for each in ids:
        await client.wait(each, SOON)
        platform.stage.mend(each)
    wanted = FailedFilter(owner=owner)
    assert (await client.bulk.preview(wanted)).total == 2
    begun = await client.bulk.start(wanted, reason="the bank is back", canary=1)
    ended = await client.bulk.wait(begun.recovery_id, SOON)
    assert (ended.state, ended.verified) == (BulkState.COMPLETED, 2)
    assert {item.workflow_id async for item in client.bulk.items(begun.recovery_id)} == set(ids)


async def test_a_scan_is_asked_for_and_its_report_read(client: Client) -> None:
    assert (await client.request_scan(reason="asked by a test")).requested
    assert (await client.scan_report()).breaker.state in set(BreakerState)


async def test_commands_over_amqp_start_and_drive_workflows(client: Client, platform: Platform) -> None:
    async with CommandPublisher.from_env(platform.running.environ) as publisher:
        receipt = await publisher.start("document-approval", {"title": "Plan"}, owner_id="sarah")
        await publisher.execute_step(receipt.workflow_id, "approve", {"approved": True, "by": "li"})
        done = await client.wait(receipt.workflow_id, SOON, appears_within=SOON)
    assert done.status is WorkflowStatus.COMPLETED
    assert done.to_json()["correlationId"] == receipt.correlation_id


async def test_the_same_command_again_changes_nothing(client: Client, platform: Platform) -> None:
    workflow_id, envelope = uuid.uuid4(), Envelope(message_id=str(uuid.uuid4()))
    async with CommandPublisher.from_env(platform.running.environ) as publisher:
        for _ in range(3):
            await publisher.start("delivery", owner_id="sarah", workflow_id=workflow_id, envelope=envelope)
        await client.wait(workflow_id, SOON, appears_within=SOON)
    assert len(platform.stage.executions(workflow_id, "pick_goods")) == 1


async def test_a_bulk_start_begins_every_workflow_once(client: Client, platform: Platform) -> None:
    owner = f"bulk-{uuid.uuid4().hex[:8]}"
    starts = [StartWorkflow(workflow_id=uuid.uuid4(), definition="delivery", owner_id=owner) for _ in range(30)]
    async with CommandPublisher.from_env(platform.running.environ) as publisher:
        [receipt] = await publisher.start_many(starts)
        again = await publisher.start_many(starts)
    assert receipt.workflow_ids == again[0].workflow_ids == tuple(start.workflow_id for start in starts)
    for start in starts:
        done = await client.wait(start.workflow_id, SOON, appears_within=SOON)
        assert done.status is WorkflowStatus.COMPLETED
        assert len(platform.stage.executions(start.workflow_id, "pick_goods")) == 1


async def test_events_are_followed_across_a_killed_notifier_each_once(client: Client, platform: Platform) -> None:
    first = await client.start("delivery", trouble("charge_card", "transient", 2))
    events: list[Notification] = []
    async with asyncio.timeout(60), client.notifications(after=0) as stream:
        async for event in stream:
            events.append(event)
            if len(events) == 3:
                break
        await client.wait(first.workflow_id, SOON)
        await asyncio.to_thread(platform.crash, "notifier")
        second = await client.start("delivery", trouble("charge_card", "transient", 1))
        await client.wait(second.workflow_id, SOON)
        await asyncio.to_thread(platform.start, "notifier")
        async for event in stream:
            events.append(event)
            if event.workflow_id == str(second.workflow_id) and event.type == "WORKFLOW_COMPLETED":
                break
    assert [event.id for event in events] == list(range(1, 6))
    assert [event.type for event in events].count("WORKFLOW_COMPLETED") == 2


async def test_what_happens_while_the_notifier_restarts_reaches_whoever_asked_only_for_news(
    client: Client, platform: Platform
) -> None:
    old = str((await client.start("delivery")).workflow_id)
    async with asyncio.timeout(60), client.notifications(after=0) as stream:
        while (event := await anext(stream)).workflow_id != old or event.type != "WORKFLOW_COMPLETED":
            pass
    lost = asyncio.Event()
    async with (
        asyncio.timeout(60),
        client.notifications(after="newest", on_reconnect=lambda _error: lost.set()) as stream,
    ):
        waiting = asyncio.create_task(stream.__anext__())
        while stream.position is None:  # noqa: ASYNC110 - it is the server that says it
            await asyncio.sleep(0.05)
        await asyncio.to_thread(platform.crash, "notifier")
        await lost.wait()
        news = await client.start("delivery")
        await client.wait(news.workflow_id, SOON)
        await asyncio.to_thread(platform.start, "notifier")
        event = await waiting
    assert event.workflow_id == str(news.workflow_id)


async def test_what_was_acknowledged_is_not_told_again(client: Client) -> None:
    for _ in range(2):
        await client.wait((await client.start("delivery")).workflow_id, SOON)
    async with asyncio.timeout(30), client.notifications(after=0, acknowledge=True) as stream:
        handled = await anext(stream)
        pending = await anext(stream)
    # The acknowledgement is stored a moment later; until then the feed begins with the first.
    async with asyncio.timeout(30):
        while True:
            async with client.notifications() as stream:
                try:
                    async with asyncio.timeout(1):
                        following = await anext(stream)
                except TimeoutError:
                    continue
            if following.id != handled.id:
                break
    assert following.id == pending.id


async def test_a_gap_is_an_error_that_says_where_to_go_on(client: Client) -> None:
    await client.wait((await client.start("delivery")).workflow_id, SOON)
    async with asyncio.timeout(30), client.notifications(after=1_000_000) as stream:
        with pytest.raises(NotRecovered) as gap:
            await anext(stream)
    assert gap.value.position is not None
    assert gap.value.position < 1_000_000


async def test_a_token_that_is_not_accepted_is_a_problem_everywhere(platform: Platform) -> None:
    async with Client.from_env(platform.running.environ, token=lambda: "nonsense") as stranger:
        with pytest.raises(Problem) as at_api:
            await stranger.list()
        with pytest.raises(Problem) as at_notifier:
            await anext(stranger.notifications())
    assert at_api.value.status == at_notifier.value.status == 401


async def test_everybody_s_events_are_not_for_plain_users(platform: Platform) -> None:
    person = platform.person("tom")
    async with Client.from_env(platform.running.environ, token=lambda: person.token) as plain:
        with pytest.raises(Problem) as refused:
            await anext(plain.notifications(everybody=True))
    assert refused.value.status == 403
