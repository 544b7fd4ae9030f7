"""What is waited for after a replay."""

import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.replay import Awaited, awaited_of

ONE, TWO = uuid4(), uuid4()


def about(*ids: UUID) -> list[dict[str, str]]:
    return [{"workflowId": str(one)} for one in ids]


@pytest.mark.parametrize(
    ("key", "content", "awaited"),
    [
        ("workflow.start", about(ONE)[0], Awaited((ONE,))),
        ("workflow.start", [*about(ONE, TWO), {"nonsense": 1}, "x"], Awaited((ONE, TWO))),
        ("step.execute", {"workflowId": str(ONE), "stepId": "approve"}, Awaited((ONE,), "approve")),
        ("step.execute", {"workflowId": str(ONE)}, None),
        ("recovery.RetryStep", {}, Awaited()),
        ("recovery.RestartScan", {}, None),
        ("step.default", about(ONE)[0], None),
        ("WORKFLOW_COMPLETED", about(ONE)[0], None),
    ],
)
def test_each_kind_of_message_has_its_own_proof(key: str, content: object, awaited: Awaited | None) -> None:
    assert awaited_of(key, json.dumps(content).encode()) == awaited


@given(st.sampled_from(["workflow.start", "step.execute"]), st.binary() | st.just(b"[" * 100_000))
def test_whatever_the_body_is_it_is_read_without_an_error(key: str, body: bytes) -> None:
    awaited_of(key, body)
