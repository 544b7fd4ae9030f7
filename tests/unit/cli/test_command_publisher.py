"""Commands over AMQP: what is sent, what is sent again, and what is not sent at all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError, PublishError
from pamqp import commands as spec
from ratchet.client import (
    CommandPublisher,
    Envelope,
    InvalidCommand,
    NotConfigured,
    NotConfirmed,
    NotRouted,
    ServerUnreachable,
    StartWorkflow,
)
from ratchet.messages.commands import ExecuteStep, decode
from ratchet.messages.envelope import Outgoing, Unconfirmed

from tests.unit.cli.scripted import Waits

ID = UUID("0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa")


@dataclass
class ScriptedBroker:
    """Takes messages; fails first as the troubles say, each a function of the messages."""

    troubles: list[str] = field(default_factory=list)
    published: list[list[Outgoing]] = field(default_factory=list)
    closed: bool = False

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.published.append(list(messages))
        if not self.troubles:
            return
        match self.troubles.pop(0):
            case "unknown":
                raise Unconfirmed([TimeoutError()], frozenset())
            case "first taken":
                raise Unconfirmed([AMQPError("cut")], frozenset({messages[0].message_id}))
            case "unroutable":
                raise Unconfirmed([_returned()], frozenset())

    async def close(self) -> None:
        self.closed = True


def _returned() -> PublishError:
    message = DeliveredMessage(
        delivery=spec.Basic.Return(312, "NO_ROUTE", "ratchet.commands", "workflow.start"),
        header=None,  # type: ignore[arg-type]  # the error does not look at it
        body=b"",
        channel=None,  # type: ignore[arg-type]  # nor at this
    )
    return PublishError(message, spec.Basic.Ack())


def publisher(broker: ScriptedBroker, **options: timedelta) -> CommandPublisher:
    return CommandPublisher(broker, timing=Waits().timing(), **options)


async def test_a_start_goes_to_the_commands_exchange_with_ids_and_type() -> None:
    broker = ScriptedBroker()
    async with publisher(broker) as commands:
        receipt = await commands.start("order-fulfilment", {"orderId": 17}, owner_id="sarah", workflow_id=ID)
    [[message]] = broker.published
    assert (message.route.exchange, message.route.routing_key) == ("ratchet.commands", "workflow.start")
    assert json.loads(message.body) == {
        "workflowId": str(ID),
        "definition": "order-fulfilment",
        "ownerId": "sarah",
        "input": {"orderId": 17},
    }
    assert message.type == "StartWorkflow"
    assert (receipt.message_id, receipt.correlation_id) == (message.message_id, message.correlation_id)
    assert receipt.workflow_id == ID
    assert broker.closed


async def test_the_caller_s_ids_and_trace_travel_with_the_command() -> None:
    broker = ScriptedBroker()
    envelope = Envelope(
        message_id="m-1", correlation_id="corr-1", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )
    await publisher(broker).start("x", owner_id="sarah", envelope=envelope)
    [[message]] = broker.published
    assert (message.message_id, message.correlation_id) == ("m-1", "corr-1")
    assert message.headers == {"traceparent": envelope.traceparent}


async def test_what_was_not_confirmed_is_sent_again_under_the_same_message_id() -> None:
    broker = ScriptedBroker(["unknown", "unknown"])
    await publisher(broker).start("x", owner_id="sarah")
    ids = {message.message_id for messages in broker.published for message in messages}
    assert len(broker.published) == 3
    assert len(ids) == 1


async def test_of_a_bulk_only_what_is_missing_is_sent_again() -> None:
    broker = ScriptedBroker(["first taken"])
    starts = [StartWorkflow(workflow_id=uuid4(), definition="x", owner_id="sarah") for _ in range(1500)]
    receipts = await publisher(broker).start_many(starts)
    assert [len(messages) for messages in broker.published] == [2, 1]
    assert broker.published[1][0] == broker.published[0][1]
    assert [len(receipt.workflow_ids) for receipt in receipts] == [1000, 500]


async def test_bulks_hold_up_to_a_thousand_starts_in_order() -> None:
    broker = ScriptedBroker()
    starts = [StartWorkflow(workflow_id=uuid4(), definition="x", owner_id="sarah") for _ in range(2001)]
    receipts = await publisher(broker).start_many(starts, correlation_id="all-together")
    sent = [
        item["workflowId"] for messages in broker.published for message in messages for item in json.loads(message.body)
    ]
    assert sent == [str(start.workflow_id) for start in starts]
    assert [len(receipt.workflow_ids) for receipt in receipts] == [1000, 1000, 1]
    assert {receipt.correlation_id for receipt in receipts} == {"all-together"}
    assert len({receipt.message_id for receipt in receipts}) == 3


async def test_large_starts_make_bulks_of_fewer() -> None:
    broker = ScriptedBroker()
    starts = [
        StartWorkflow(workflow_id=uuid4(), definition="x", owner_id="sarah", input={"text": "x" * 900_000})
        for _ in range(9)
    ]
    receipts = await publisher(broker).start_many(starts)
    assert [len(receipt.workflow_ids) for receipt in receipts] == [4, 4, 1]


async def test_no_starts_are_no_message() -> None:
    broker = ScriptedBroker()
    assert await publisher(broker).start_many([]) == ()
    assert broker.published == []


async def test_giving_up_names_the_messages_to_repeat() -> None:
    broker = ScriptedBroker(["unknown"] * 1000)
    with pytest.raises(NotConfirmed) as given_up:
        await publisher(broker, give_up_after=timedelta(0)).start("x", owner_id="s", envelope=Envelope(message_id="m"))
    assert given_up.value.message_ids == {"m"}


async def test_a_command_without_a_queue_is_told_at_once() -> None:
    broker = ScriptedBroker(["unroutable"])
    with pytest.raises(NotRouted, match="start an executor"):
        await publisher(broker).start("x", owner_id="sarah")
    assert len(broker.published) == 1


async def test_a_step_s_command_carries_its_inputs() -> None:
    broker = ScriptedBroker()
    await publisher(broker).execute_step(ID, "approve-quote", {"approved": True})
    [[message]] = broker.published
    assert message.route.routing_key == "step.execute"
    assert decode(ExecuteStep, message.body) == ExecuteStep(
        workflow_id=ID, step_id="approve-quote", inputs={"approved": True}
    )


async def test_a_scan_is_asked_of_recovery() -> None:
    broker = ScriptedBroker()
    await publisher(broker).scan(reason="after the outage")
    [[message]] = broker.published
    assert (message.route.routing_key, message.type) == ("recovery.RestartScan", "RestartScan")
    assert json.loads(message.body) == {"reason": "after the outage"}


@pytest.mark.parametrize(
    ("definition", "owner", "content", "named"),
    [
        ("", "sarah", {}, "definition"),
        ("x", "sa\nrah", {}, "owner_id"),
        ("x", "sarah", {"amount": float("nan")}, "input"),
        ("x", "sarah", {"text": "a\x00b"}, "input"),
        ("x", "sarah", {"text": "x" * 1_100_000}, "at most 1048576"),
    ],
)
async def test_a_command_that_would_be_parked_is_not_sent(
    definition: str, owner: str, content: dict[str, object], named: str
) -> None:
    broker = ScriptedBroker()
    with pytest.raises(InvalidCommand, match=named):
        await publisher(broker).start(definition, content, owner_id=owner)
    assert broker.published == []


@pytest.mark.parametrize("message_id", ["", "x" * 256])
async def test_a_message_id_that_amqp_cannot_carry_is_refused(message_id: str) -> None:
    with pytest.raises(InvalidCommand, match="1 to 255 bytes"):
        await publisher(ScriptedBroker()).start("x", owner_id="s", envelope=Envelope(message_id=message_id))


async def test_a_missing_address_is_told_by_name() -> None:
    with pytest.raises(NotConfigured, match="RATCHET_AMQP_URL is not set"):
        async with CommandPublisher.from_env({}):
            pass


async def test_a_broker_that_is_away_is_told_without_its_password() -> None:
    with pytest.raises(ServerUnreachable, match="Check RATCHET_AMQP_URL") as away:
        async with CommandPublisher.from_env({"RATCHET_AMQP_URL": "amqp://user:hidden@127.0.0.1:1/"}):
            pass
    assert "hidden" not in str(away.value)
