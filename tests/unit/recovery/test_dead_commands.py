"""Dead commands of upstream services: none is dropped, each goes back or stands whole before a person."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from ratchet.messages.envelope import Incoming, Outgoing, Settlement
from ratchet.messages.rounds import AGAIN_AFTER, RETURNS_HEADER
from ratchet.messages.routes import again_name
from ratchet.observability.metrics import RecoveryMetrics, new_registry
from recovery.look_after import Verdict
from recovery.return_commands import ReturnCommands
from recovery.subscribers import DeadLetterSubscriber

START, STEP = "workflow.start", "step.execute"


@dataclass
class Desk:
    """Recovery without servers: rows that say what the test says, and what was sent and parked."""

    rows: dict[UUID, Verdict] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    parked: list[tuple[Incoming, str]] = field(default_factory=list)
    innocent: list[bool] = field(default_factory=list)

    async def __call__(self, workflow_id: UUID, message_id: str | None, *, was_returned_too_often: bool) -> Verdict:
        self.innocent.append(was_returned_too_often)
        return self.rows.get(workflow_id, Verdict.UNKNOWN)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.sent.extend(messages)

    async def park(self, message: Incoming, reason: str, *, part: Any = None) -> None:
        assert part is None
        self.parked.append((message, reason))

    async def dies(self, key: str, body: bytes, headers: dict[str, Any] | None = None) -> None:
        """The broker gives up a command that it had delivered from the work queue."""
        death = {
            "queue": "executor.steps.default",
            "reason": "delivery_limit",
            "exchange": "ratchet.commands",
            "routing-keys": [key],
            "count": 1,
        }
        message = Incoming(body, "m-1", "c-1", "", "ratchet.dead", key, False, {"x-death": [death], **(headers or {})})
        look_after: Any = self
        back = ReturnCommands(look_after, self, self, RecoveryMetrics(new_registry()))
        assert await DeadLetterSubscriber(look_after, back, self)(message) is Settlement.ACK


def start(workflow_id: UUID) -> dict[str, Any]:
    return {"workflowId": str(workflow_id), "definition": "d", "ownerId": "o", "input": {"n": 2**70}}


def encoded(content: object) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize("key", [START, STEP])
async def test_a_command_that_was_not_carried_out_goes_back_as_it_came(key: str) -> None:
    desk = Desk()
    body = encoded(start(uuid4()))
    await desk.dies(key, body)
    [again] = desk.sent
    assert (again.route.exchange, again.route.routing_key) == (again_name(AGAIN_AFTER[0]), key)
    assert (again.message_id, again.body, again.headers) == ("m-1", body, {RETURNS_HEADER: 1})
    assert not desk.parked


@pytest.mark.parametrize("verdict", [Verdict.UNKNOWN, Verdict.STALE])
async def test_a_step_command_that_is_no_rows_command_is_asked_of_an_executor_again(verdict: Verdict) -> None:
    workflow_id = uuid4()
    desk = Desk({workflow_id: verdict})
    await desk.dies(STEP, encoded({"workflowId": str(workflow_id), "stepId": "approve"}))
    assert len(desk.sent) == 1


@pytest.mark.parametrize("verdict", set(Verdict) - {Verdict.UNKNOWN, Verdict.STALE})
async def test_what_its_row_stands_for_is_not_sent_twice(verdict: Verdict) -> None:
    workflow_id = uuid4()
    desk = Desk({workflow_id: verdict})
    await desk.dies(START, encoded(start(workflow_id)))
    assert not desk.sent
    assert not desk.parked


async def test_of_an_array_only_the_members_without_a_row_go_back_and_their_numbers_stay_whole() -> None:
    begun, lost = uuid4(), [uuid4(), uuid4()]
    desk = Desk({begun: Verdict.REISSUED})
    await desk.dies(START, encoded([start(lost[0]), start(begun), {"nonsense": 1}, start(lost[1])]))
    [again] = desk.sent
    assert json.loads(again.body) == [start(lost[0]), {"nonsense": 1}, start(lost[1])]


async def test_members_of_an_array_go_back_byte_by_byte() -> None:
    done, left = uuid4(), f'{{ "workflowId":"{uuid4()}", "input": {{"price": 1.50, "limit": 1e400, "a": 1, "a": 2}} }}'
    desk = Desk({done: Verdict.REISSUED})
    await desk.dies(START, f'[ {{"workflowId": "{done}"}} , {left} ]'.encode())
    assert [message.body for message in desk.sent] == [f"[{left}]".encode()]


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[]", b"7", b'{"workflowId": 7}', b'[{"n": 1e999}]'])
async def test_a_body_that_recovery_cannot_read_is_left_to_its_executor_whole(body: bytes) -> None:
    desk = Desk()
    await desk.dies(START, body)
    assert [again.body for again in desk.sent] == [body]


@pytest.mark.parametrize("key", [START, STEP])
async def test_what_comes_back_too_often_is_parked_with_the_place_it_was_sent_to(key: str) -> None:
    desk = Desk()
    body = encoded(start(uuid4()))
    await desk.dies(key, body, {RETURNS_HEADER: len(AGAIN_AFTER)})
    assert not desk.sent
    [(message, reason)] = desk.parked
    assert (message.exchange, message.routing_key, message.body) == ("ratchet.commands", key, body)
    assert "without having been carried out" in reason
    assert "delivery_limit" in reason


async def test_an_internal_command_of_nobody_is_parked_with_the_place_it_was_sent_to() -> None:
    desk = Desk()
    await desk.dies("step.default", encoded({"workflowId": str(uuid4())}))
    [(message, _reason)] = desk.parked
    assert (message.exchange, message.routing_key) == ("ratchet.commands", "step.default")


@pytest.mark.parametrize(("cause", "is_innocent"), [("delivery_limit", True), ("rejected", False)])
async def test_the_latest_death_tells_whether_it_was_returned_too_often_and_not_the_first(
    cause: str, is_innocent: bool
) -> None:
    """What went through a delay queue says for ever that it first expired there."""
    desk: Any = Desk()
    deaths = [
        {"queue": "executor.steps.default", "reason": cause, "count": 1, "routing-keys": ["step.default"]},
        {"queue": "executor.retry.2000", "reason": "expired", "count": 3, "routing-keys": ["step.default"]},
    ]
    headers = {"x-death": deaths, "x-first-death-reason": "expired"}
    body = encoded({"workflowId": str(uuid4())})
    message = Incoming(body, "m-1", "c-1", "ContinueWorkflow", "ratchet.dead", "step.default", False, headers)
    await DeadLetterSubscriber(desk, desk, desk)(message)
    assert desk.innocent == [is_innocent]
