"""The client's operators' methods: what they send, how pages and waiting end, which types come back."""

from datetime import timedelta
from uuid import UUID

import pytest
from ratchet.client import FailedFilter, FailedSort, Problem, WaitTimeout
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome

from tests.unit.cli.scripted import Waits, problem, says, scripted
from tests.unit.cli.test_cli_bulk import bulk, with_items
from tests.unit.cli.test_cli_parked import parked

ID = UUID("0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa")


async def test_a_bulk_recovery_is_begun_once_under_its_key_and_without_an_order() -> None:
    api = scripted(says(503), says(202, {"recoveryId": str(ID), "total": 7}))
    wanted = FailedFilter(step="charge", older_than=timedelta(minutes=1), sort=FailedSort.NEWEST_FIRST)
    async with api.client() as client:
        begun = await client.bulk.start(wanted, reason="r", canary=0, idempotency_key="once")
    assert (begun.recovery_id, begun.total) == (ID, 7)
    assert {request.headers["idempotency-key"] for request in api.requests} == {"once"}
    assert api.body() == {"filter": {"step": "charge", "olderThan": "60.000s"}, "reason": "r", "canary": 0}


async def test_every_item_is_reached_page_after_page() -> None:
    pages = [
        with_items(bulk(), "verified", "failed") | {"nextCursor": "2"},
        with_items(bulk(), "pending"),
    ]
    api = scripted(*(says(200, page) for page in pages))
    async with api.client() as client:
        outcomes = [item.outcome async for item in client.bulk.items(ID)]
    assert outcomes == [ItemOutcome.VERIFIED, ItemOutcome.FAILED, ItemOutcome.PENDING]


async def test_waiting_for_a_bulk_recovery_returns_how_it_ended() -> None:
    api, waits = scripted(says(200, with_items(bulk())), says(200, with_items(bulk("stopped")))), Waits()
    async with api.client(waits) as client:
        assert (await client.bulk.wait(ID)).state is BulkState.STOPPED
    assert waits.seconds == [1]


async def test_waiting_for_a_bulk_recovery_ends_at_its_timeout() -> None:
    api = scripted(says(200, with_items(bulk())))
    async with api.client() as client:
        with pytest.raises(WaitTimeout, match="goes on by itself"):
            await client.bulk.wait(ID, timedelta(0))


async def test_a_bulk_recovery_that_is_over_cannot_be_cancelled() -> None:
    api = scripted(problem(409, "It is settled already"))
    async with api.client() as client:
        with pytest.raises(Problem, match="settled already"):
            await client.bulk.cancel(ID, reason="r")


async def test_a_parked_message_is_looked_for_among_the_open_and_the_settled_ones() -> None:
    api = scripted(
        says(200, {"items": [parked("7f0d6c1e-3f5e-4c0a-8a53-0f2b6a508c1e")], "nextCursor": None}),
        says(200, {"items": [parked(resolution="replayed")], "nextCursor": None}),
    )
    async with api.client() as client:
        found = await client.parked.find(ID)
    assert found is not None
    assert found.resolution == "replayed"
    assert [request.url.params["resolved"] for request in api.requests] == ["false", "true"]


async def test_a_message_that_was_never_parked_is_none() -> None:
    api = scripted(says(200, {"items": [], "nextCursor": None}))
    async with api.client() as client:
        assert await client.parked.find(ID) is None


async def test_a_scan_is_asked_for_with_its_reason() -> None:
    api = scripted(says(202, {"requested": True}))
    async with api.client() as client:
        assert (await client.request_scan(reason="after the outage")).requested
    assert api.body() == {"reason": "after the outage"}
