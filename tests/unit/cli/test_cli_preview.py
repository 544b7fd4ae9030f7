"""`ratchet preview`: what would run again, and what would change, before anybody does it."""

import json
from typing import Any

import pytest
from ratchet.cli.previewing import _change
from ratchet.client import StateChange

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import problem, says

ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"
ROUTE = f"GET /admin/workflows/{ID}/restore-preview"


def step(step_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "stepId": step_id,
        "optional": False,
        "waitsForCommand": False,
        "executions": 0,
        "alreadyDone": False,
        "lastCommittedAt": None,
    } | changes


def preview(**changes: Any) -> dict[str, Any]:
    return {
        "workflowId": ID,
        "checkpointSeq": 2,
        "allowed": True,
        "problem": None,
        "detail": None,
        "resumedStep": "charge_card",
        "resumedFrom": "2026-11-24T10:00:00Z",
        "steps": [
            step("charge_card", executions=3, alreadyDone=True, lastCommittedAt="2026-11-24T10:01:00Z"),
            step("notify_erp", executions=1),
            step("send_survey", optional=True, waitsForCommand=True),
        ],
        "stateDiff": [
            {"op": "add", "path": "/note", "before": None, "after": {"k": "\u202e"}},
            {"op": "remove", "path": "/paid", "before": True, "after": None},
            {"op": "replace", "path": "/sum", "before": 2, "after": 1},
        ],
        "diffTruncated": False,
        "damagedCheckpoints": [],
    } | changes


def test_a_preview_shows_steps_in_order_with_how_often_each_ran_and_the_difference(shell: Shell) -> None:
    shell.answers(ROUTE, says(200, preview()))
    ended = shell("preview", ID, "--checkpoint", "2")
    assert ended.code == 0
    assert shell.api.requests[0].url.params["checkpointSeq"] == "2"
    for part in ("3 times", "would be done again, under a new key", "tried again under the same key", "never"):
        assert part in ended.out
    for part in ("waits for a command", "send_survey optional"):
        assert part in ended.out
    assert '+ /note  {"k": "\\u202e"}' in ended.out
    assert "- /paid  true" in ended.out
    assert "~ /sum  2 → 1" in ended.out
    assert ended.out.index("charge_card") < ended.out.index("send_survey")
    assert f"ratchet restore {ID} 2 --reason" in ended.out


def test_without_a_checkpoint_it_shows_what_a_recovery_would_do(shell: Shell) -> None:
    shell.answers(ROUTE, says(200, preview(checkpointSeq=None, resumedFrom=None, stateDiff=[])))
    out = shell("preview", ID).out
    assert "from its input at charge_card" in out
    assert "nothing" in out
    assert f"ratchet recover {ID}" in out
    assert "checkpointSeq" not in shell.api.requests[0].url.params


def test_what_would_be_refused_says_why_also_to_the_shell(shell: Shell) -> None:
    refused = preview(allowed=False, problem="wrong-status", detail="It is InProgress.", steps=[], stateDiff=[])
    shell.answers(ROUTE, says(200, refused))
    ended = shell("preview", ID, "--checkpoint", "2")
    assert ended.code == 3
    assert "It would be refused: It is InProgress." in ended.out
    assert "Do it" not in ended.out


def test_damage_and_cut_differences_are_told(shell: Shell) -> None:
    shell.answers(ROUTE, says(200, preview(damagedCheckpoints=[3, 4], diffTruncated=True)))
    out = shell("preview", ID).out
    assert "Damaged checkpoints: 3, 4." in out
    assert "There is more" in out


def test_in_json_it_is_what_the_api_sent(shell: Shell) -> None:
    shell.answers(ROUTE, says(200, preview()))
    assert json.loads(shell("preview", ID, "-o", "json").out) == preview()


def test_a_checkpoint_that_is_not_there_says_where_to_look(shell: Shell) -> None:
    answer = problem(404, "No such checkpoint", type="urn:ratchet:problem:unknown-checkpoint")
    shell.answers(ROUTE, answer)
    ended = shell("preview", ID, "--checkpoint", "9")
    assert ended.code == 3
    assert "ratchet checkpoints ID" in ended.err


@pytest.mark.parametrize(("op", "colour"), [("add", "green"), ("remove", "red")])
def test_what_comes_is_green_and_what_goes_is_red(op: str, colour: str) -> None:
    assert _change(StateChange.model_validate({"op": op, "path": "/x", "before": 1, "after": 2})).style == colour


def test_a_long_value_is_cut() -> None:
    line = _change(StateChange.model_validate({"op": "add", "path": "", "after": "x" * 1000}))
    assert len(line) < 250
    assert line.plain.startswith('+ /  "xxx')
