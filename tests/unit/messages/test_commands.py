"""Commands are read strictly, and what is wrong is said."""

import json
import uuid
from typing import Any

import pytest
from ratchet.domain.errors import MalformedMessage
from ratchet.messages.commands import ExecuteStep, RecoveryRequest, StartWorkflow, decode, encode

ID = str(uuid.uuid4())
START = {"workflowId": ID, "definition": "orders", "ownerId": "sarah", "input": {"a": 1}}


def body(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in (START | changes).items() if value is not ...}).encode()


def test_a_start_is_read() -> None:
    command = decode(StartWorkflow, body(version=2))
    assert (str(command.workflow_id), command.definition, command.version) == (ID, "orders", 2)
    assert (command.owner_id, command.input) == ("sarah", {"a": 1})


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
        (body(workflowId="x"), "workflowId"),
        (body(workflowId=...), "workflowId"),
        (body(definition=""), "definition"),
        (body(ownerId=None), "ownerId"),
        (body(ownerId="a\x00b"), "ownerId"),
        (body(version=0), "version"),
        (body(version=2**40), "version"),
        (body(input=[1]), "input"),
        (body(input={"a": "\x00"}), "input"),
        (body(input={"a": float("nan")}), "body"),
        (body().replace(b'"a": 1', b'"a": 1, "a": 2'), "input.a"),
        (body().replace(b'"a": 1', b'"a": 1e400'), "input.a"),
        (body().replace(b'"a": 1', b'"a": ' + b"1" * 4301), "input.a"),
        (body(surprise=1), "surprise"),
        (body().replace(b'"a": 1', b'"a": "\\ud800"'), "body"),
    ],
)
def test_what_is_wrong_with_a_start_is_named(bad: bytes, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        decode(StartWorkflow, bad)


def test_a_reason_never_echoes_the_input() -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(StartWorkflow, body(version="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_too_deep_an_input_is_refused() -> None:
    deep: Any = 1
    for _ in range(101):
        deep = [deep]
    with pytest.raises(MalformedMessage):
        decode(StartWorkflow, body(input={"a": deep}))


def test_the_same_content_has_the_same_hash_whatever_the_order_of_keys() -> None:
    one = decode(StartWorkflow, body(input={"a": 1, "b": 2}))
    other = decode(StartWorkflow, body(input={"b": 2, "a": 1}))
    assert one.content_hash() == other.content_hash()
    assert one.content_hash() != decode(StartWorkflow, body()).content_hash()


def test_a_step_command_without_inputs_has_empty_ones() -> None:
    assert decode(ExecuteStep, json.dumps({"workflowId": ID, "stepId": "approve"}).encode()).inputs == {}


def test_commands_survive_the_wire() -> None:
    request = RecoveryRequest(workflow_id=uuid.UUID(ID), actor="li", reason="why", checkpoint_seq=3)
    assert decode(RecoveryRequest, encode(request)) == request
    assert json.loads(encode(request)) == {"workflowId": ID, "actor": "li", "reason": "why", "checkpointSeq": 3}
