"""Acting and starting: what is asked of the API, what is said about it, which exit code scripts get."""

import io
import json
from pathlib import Path

import httpx2
import pytest

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import history, problem, says, workflow

ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"
RESUMED = {
    "workflowId": ID,
    "success": True,
    "status": "InProgress",
    "resumedStep": "charge_card",
    "resumedFrom": "2026-11-24T10:00:00Z",
    "recoveryId": "r1",
    "damagedCheckpoints": [],
}


@pytest.mark.parametrize("verb", ["recover", "cancel", "pause", "resume"])
def test_an_action_posts_its_reason(shell: Shell, verb: str) -> None:
    shell.answers(f"POST /workflows/{ID}/{verb}", says(200, RESUMED))
    ended = shell(verb, ID, "--reason", "the bank is back")
    assert ended.code == 0
    assert json.loads(shell.api.requests[-1].content) == {"reason": "the bank is back"}
    assert "now InProgress and goes on at charge_card" in ended.out


@pytest.mark.parametrize("verb", ["retry", "skip"])
def test_actions_on_the_current_step_have_their_own_routes(shell: Shell, verb: str) -> None:
    shell.answers(f"POST /workflows/{ID}/steps/current/{verb}", says(200, RESUMED))
    assert shell(verb, ID, "-o", "json").code == 0
    assert json.loads(shell.api.requests[-1].content) == {}


def test_what_was_seen_and_what_is_meant_are_told(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, workflow("Failed", etag='"e1"')))
    shell.answers(f"POST /workflows/{ID}/steps/current/retry", says(200, RESUMED))
    assert shell("retry", ID, "--run-instead", "book").code == 0
    assert shell.api.requests[-1].headers["if-match"] == '"e1"'
    assert json.loads(shell.api.requests[-1].content) == {"runInstead": "book"}
    assert shell("retry", ID, "--failed-attempt", "4").code == 0
    assert json.loads(shell.api.requests[-1].content) == {"failedAttempt": 4}


def test_a_recovery_from_the_beginning_says_so(shell: Shell) -> None:
    shell.answers(f"POST /workflows/{ID}/recover", says(200, RESUMED | {"resumedFrom": None}))
    assert "goes on at charge_card from its input" in shell("recover", ID).out


def test_a_workflow_that_was_ended_or_held_is_not_said_to_go_on(shell: Shell) -> None:
    for verb, status in (("cancel", "Cancelled"), ("pause", "Paused")):
        shell.answers(f"POST /workflows/{ID}/{verb}", says(200, RESUMED | {"status": status}))
        assert shell(verb, ID).out == f"The workflow is now {status}.\n"


def test_damaged_checkpoints_are_named(shell: Shell) -> None:
    shell.answers(f"POST /workflows/{ID}/recover", says(200, RESUMED | {"damagedCheckpoints": [3, 4]}))
    assert "Damaged checkpoints were passed over: 3, 4." in shell("recover", ID).out


@pytest.mark.parametrize("words", [("restore", ID, "3"), ("override", ID, "Failed")])
def test_what_changes_history_needs_a_reason(shell: Shell, words: tuple[str, ...]) -> None:
    ended = shell(*words)
    assert ended.code == 2
    assert "--reason" in ended.err
    assert shell.api.requests == []


def test_restore_and_override_send_what_was_chosen(shell: Shell) -> None:
    shell.answers(f"POST /admin/workflows/{ID}/restore", says(200, RESUMED))
    shell.answers(f"POST /admin/workflows/{ID}/override", says(200, RESUMED))
    assert shell("restore", ID, "3", "--reason", "wrong amount").code == 0
    assert shell("override", ID, "in-progress", "--reason", "by hand").code == 0
    restored, overridden = (json.loads(request.content) for request in shell.api.requests)
    assert restored == {"checkpointSeq": 3, "reason": "wrong amount"}
    assert overridden == {"status": "InProgress", "reason": "by hand"}


def test_a_refused_action_has_an_exit_code_of_its_own(shell: Shell) -> None:
    shell.answers(f"POST /workflows/{ID}/steps/current/skip", problem(409, "Step is not optional"))
    ended = shell("skip", ID)
    assert ended.code == 3
    assert "error: Step is not optional" in ended.err


def test_a_recovery_that_failed_is_no_outage(shell: Shell) -> None:
    answer = problem(500, "Recovery failed", "No intact checkpoint.", success=False, recoveryId="r1")
    shell.answers(f"POST /workflows/{ID}/recover", answer)
    assert shell("recover", ID).code == 1


def test_a_server_that_is_away_is_told_without_a_traceback(shell: Shell) -> None:
    shell.answers(f"POST /workflows/{ID}/recover", httpx2.ConnectError("refused"))
    ended = shell("recover", ID)
    assert ended.code == 4
    assert "ratchet doctor" in ended.err
    assert "Traceback" not in ended.err


def test_an_action_can_be_watched_to_its_end(shell: Shell) -> None:
    shell.answers(f"POST /workflows/{ID}/recover", says(200, RESUMED))
    shell.answers(f"GET /workflows/{ID}", says(200, workflow("Executing")), says(200, workflow("Completed")))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    ended = shell("recover", ID, "--watch")
    assert ended.code == 0
    assert ended.out.splitlines()[-1].startswith("Completed")


@pytest.mark.parametrize(("status", "code"), [("Completed", 0), ("Failed", 1), ("Cancelled", 6)])
def test_watching_tells_by_its_exit_code_how_the_workflow_ended(shell: Shell, status: str, code: int) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, workflow(status)))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    assert shell("watch", ID).code == code


def test_watching_stops_after_its_timeout_and_says_that_the_workflow_goes_on(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, workflow()))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    ended = shell("watch", ID, "--timeout", "50ms")
    assert ended.code == 5
    assert "Still going" in ended.err


def test_watching_in_json_gives_a_line_for_each_change(shell: Shell) -> None:
    looks = [workflow(), workflow(), workflow("Executing"), workflow("Completed")]
    shell.answers(f"GET /workflows/{ID}", *[says(200, look) for look in looks])
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    lines = shell("watch", ID, "-o", "json").out.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["InProgress", "Executing", "Completed"]


def test_a_start_sends_its_input_and_says_how_to_follow(shell: Shell) -> None:
    shell.answers("POST /workflows", says(202, {"workflowId": ID}))
    ended = shell("start", "order-fulfilment", "--input", '{"orderId": 17}', "--version", "2", "--owner", "sarah")
    assert ended.code == 0
    assert f"ratchet watch {ID}" in ended.out
    assert json.loads(shell.api.requests[0].content) == {
        "definition": "order-fulfilment",
        "input": {"orderId": 17},
        "version": 2,
        "ownerId": "sarah",
    }


def test_a_start_takes_its_input_from_a_file_or_standard_input(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.answers("POST /workflows", says(202, {"workflowId": ID}))
    Path("order.json").write_text('{"from": "file"}', encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"from": "pipe"}'))
    shell("start", "x", "-i", "@order.json")
    shell("start", "x", "-i", "-")
    assert [json.loads(request.content)["input"]["from"] for request in shell.api.requests] == ["file", "pipe"]


@pytest.mark.parametrize("content", ["[1]", "{bad", "@missing.json", "17"])
def test_an_input_that_is_no_object_is_told_before_anything_is_sent(shell: Shell, content: str) -> None:
    ended = shell("start", "x", "-i", content)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert shell.api.requests == []
