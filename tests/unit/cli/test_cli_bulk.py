"""`ratchet bulk …`: nothing begins unless somebody said how many; progress and outcomes show, also to the shell."""

import io
import json
import os
from datetime import timedelta
from typing import Any

import pytest
from ratchet.cli.bulk_view import BulkView
from ratchet.cli.screen import Screen
from ratchet.client import BulkRecovery

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import problem, says

ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"
WORKFLOW = "7f0d6c1e-3f5e-4c0a-8a53-0f2b6a508c1e"
START = ("bulk", "start", "--step", "charge_card", "--reason", "the bank is back")


def group(count: int, name: str = "a1b2") -> dict[str, Any]:
    return {
        "fingerprint": name,
        "definition": "order-fulfilment",
        "step": "charge_card",
        "errorClass": "TimeoutError",
        "message": "order <id> timed out",
        "count": count,
        "firstSeen": "2026-11-24T10:00:00Z",
        "lastSeen": "2026-11-24T11:00:00Z",
        "newestWorkflowId": WORKFLOW,
        "trend": [0] * 22 + [2, 4],
    }


def bulk(state: str = "running", **changes: Any) -> dict[str, Any]:
    return {
        "recoveryId": ID,
        "state": state,
        "detail": None,
        "filter": {"step": "charge_card"},
        "actor": "li",
        "reason": "the bank is back",
        "canary": 5,
        "requestedAt": "2026-11-24T10:00:00Z",
        "finishedAt": None,
        "total": 3,
        "started": 3,
        "open": 0,
        "verified": 3,
        "relapsed": 0,
        "failed": 0,
        "skipped": 0,
        "pending": 0,
    } | changes


def with_items(seen: dict[str, Any], *outcomes: str) -> dict[str, Any]:
    items = [{"workflowId": WORKFLOW, "outcome": each, "recoveryId": "r", "detail": "so it is"} for each in outcomes]
    return seen | {"items": items, "nextCursor": None}


def matching(shell: Shell, *counts: int) -> None:
    items = [group(count, f"group{index}") for index, count in enumerate(counts)]
    shell.answers("GET /admin/failure-groups", says(200, {"items": items, "nextCursor": None}))
    shell.answers("POST /admin/recoveries", says(202, {"recoveryId": ID, "total": sum(counts)}))


def test_a_preview_counts_every_group_and_says_how_to_begin(shell: Shell) -> None:
    pages = [
        {"items": [group(9)], "nextCursor": "next"},
        {"items": [group(3, "c3d4")], "nextCursor": None},
    ]
    shell.answers("GET /admin/failure-groups", *(says(200, page) for page in pages))
    ended = shell("bulk", "preview", "--step", "charge_card", "--older-than", "15m", "--text", "the bank")
    assert ended.code == 0
    assert "12 workflows" in ended.out
    assert "c3d4" in ended.out
    options = "--step charge_card --older-than 900s --text 'the bank' --expect 12 --reason …"
    assert f"ratchet bulk start {options}" in ended.out
    assert shell.api.requests[1].url.params["cursor"] == "next"
    assert shell.api.sent("POST") == []


def test_a_preview_in_json_names_the_filter_and_the_total(shell: Shell) -> None:
    matching(shell, 2, 1)
    told = json.loads(shell("bulk", "preview", "--kind", "transient", "-o", "json").out)
    assert (told["filter"], told["total"], len(told["groups"])) == ({"kind": "transient"}, 3, 2)


def test_a_start_sends_filter_reason_and_canaries(shell: Shell) -> None:
    matching(shell, 3)
    ended = shell(*START, "--definition", "order-fulfilment", "--older-than", "15m", "--canary", "2", "--expect", "3")
    assert ended.code == 0
    [request] = shell.api.sent("POST")
    assert json.loads(request.content) == {
        "filter": {"definition": "order-fulfilment", "step": "charge_card", "olderThan": "900.000s"},
        "expected": 3,
        "reason": "the bank is back",
        "canary": 2,
    }
    assert f"ratchet bulk watch {ID}" in ended.out


def test_everything_is_recovered_only_where_that_is_said(shell: Shell) -> None:
    matching(shell, 3)
    ended = shell("bulk", "start", "--reason", "r", "--yes")
    assert ended.code == 2
    assert "--all" in ended.err
    assert shell.api.sent("POST") == []
    assert shell("bulk", "start", "--reason", "r", "--yes", "--all").code == 0
    [request] = shell.api.sent("POST")
    assert json.loads(request.content) == {"all": True, "expected": 3, "reason": "r", "canary": 5}


def test_workflows_can_be_named_one_by_one(shell: Shell) -> None:
    matching(shell, 3)
    assert shell("bulk", "start", "--reason", "r", "--workflow", WORKFLOW, "--expect", "1", "--rate", "2").code == 0
    [request] = shell.api.sent("POST")
    told = {"workflowIds": [WORKFLOW], "expected": 1, "reason": "r", "canary": 5, "rate": 2}
    assert json.loads(request.content) == told


def test_the_number_is_the_servers_also_beyond_what_is_shown(shell: Shell) -> None:
    shell.answers("GET /admin/failure-groups", says(200, {"items": [group(3)], "nextCursor": None, "total": 6044}))
    assert "6044 workflows" in shell("bulk", "preview").out


def test_nothing_begins_when_another_number_was_expected(shell: Shell) -> None:
    matching(shell, 4)
    ended = shell(*START, "--expect", "3")
    assert ended.code == 2
    assert "4 workflows match now, not 3" in ended.err
    assert shell.api.sent("POST") == []


def test_nothing_begins_where_nobody_can_be_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("4\n"))
    matching(shell, 4)
    ended = shell(*START)
    assert ended.code == 2
    assert "--expect 4" in ended.err
    assert shell.api.sent("POST") == []


@pytest.mark.parametrize(("typed", "code", "begun"), [("4", 0, 1), ("yes", 3, 0)])
def test_on_a_terminal_the_number_is_asked_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, begun: int
) -> None:
    async def line() -> str:
        return f"{typed}\n"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("ratchet.cli.consent._typed_line", line)
    matching(shell, 4)
    ended = shell(*START)
    assert ended.code == code
    assert "4 failed workflows would be recovered" in ended.err
    assert len(shell.api.sent("POST")) == begun


def test_the_number_is_read_from_the_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"4\n")
    matching(shell, 4)
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert shell(*START).code == 0
    os.close(keyboard)
    assert len(shell.api.sent("POST")) == 1


def test_a_filter_that_matches_nothing_begins_nothing(shell: Shell) -> None:
    matching(shell)
    ended = shell(*START, "--yes")
    assert ended.code == 3
    assert "nothing was begun" in ended.err
    assert shell.api.sent("POST") == []


def test_a_start_needs_a_reason(shell: Shell) -> None:
    ended = shell("bulk", "start", "--yes")
    assert ended.code == 2
    assert "--reason" in ended.err


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (bulk("completed"), 0),
        (bulk("completed", verified=2, failed=1), 1),
        (bulk("stopped", relapsed=1, detail="A recovered workflow failed again before its step had passed"), 1),
        (bulk("cancelled"), 6),
    ],
)
def test_watching_tells_by_its_exit_code_how_it_ended(shell: Shell, seen: dict[str, Any], code: int) -> None:
    shell.answers(f"GET /admin/recoveries/{ID}", says(200, with_items(seen, "relapsed")))
    assert shell("bulk", "watch", ID).code == code


def test_watching_in_a_pipe_gives_a_line_for_each_change_and_then_what_went_wrong(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratchet.cli.bulk_recovering.LOOK_EVERY", timedelta(0))
    looks = [bulk(verified=1, pending=2), bulk(verified=1, pending=2), bulk("stopped", verified=1, relapsed=2)]
    shell.answers(f"GET /admin/recoveries/{ID}", *(says(200, with_items(look, "relapsed")) for look in looks))
    lines = shell("bulk", "watch", ID).out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["running", "stopped"]
    assert "2 relapsed" in lines[1]
    assert any(WORKFLOW in line and "so it is" in line for line in lines)
    assert f"ratchet bulk status {ID} --outcome relapsed" in "\n".join(lines)


def test_watching_in_json_gives_a_line_for_each_change_without_items(shell: Shell) -> None:
    matching(shell, 3)
    shell.answers(f"GET /admin/recoveries/{ID}", says(200, with_items(bulk("completed"), "verified")))
    ended = shell(*START, "--yes", "--watch", "-o", "json")
    assert ended.code == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [bulk("completed")]


def test_watching_stops_after_its_timeout_and_says_that_it_goes_on(shell: Shell) -> None:
    shell.answers(f"GET /admin/recoveries/{ID}", says(200, with_items(bulk())))
    ended = shell("bulk", "watch", ID, "--timeout", "50ms")
    assert ended.code == 5
    assert "Still going" in ended.err


def test_status_shows_progress_and_each_outcome(shell: Shell) -> None:
    seen = bulk(verified=1, relapsed=0, open=1, pending=1)
    shell.answers(f"GET /admin/recoveries/{ID}", says(200, with_items(seen, "verified", "started")))
    ended = shell("bulk", "status", ID, "--outcome", "verified", "--limit", "2")
    assert ended.code == 0
    for part in ("1 of 3 settled", "1 under way", "step=charge_card", "by li", "so it is", f"ratchet bulk cancel {ID}"):
        assert part in ended.out
    assert dict(shell.api.requests[0].url.params) == {"outcome": "verified", "limit": "2"}


def test_the_list_shows_every_run(shell: Shell) -> None:
    shell.answers("GET /admin/recoveries", says(200, {"items": [bulk("completed")], "nextCursor": "abc"}))
    out = shell("bulk", "list").out
    for part in (ID, "completed", "the bank is back", "--cursor abc"):
        assert part in out


def test_cancelling_sends_its_reason(shell: Shell) -> None:
    shell.answers(f"POST /admin/recoveries/{ID}/cancel", says(200, bulk("cancelled", skipped=2)))
    ended = shell("bulk", "cancel", ID, "--reason", "wrong filter")
    assert ended.code == 0
    assert json.loads(shell.api.requests[0].content) == {"reason": "wrong filter"}
    assert "cancelled" in ended.out


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (problem(404, "No such recovery", type="urn:ratchet:problem:unknown-recovery"), "ratchet bulk list"),
        (problem(409, "It is settled already", type="urn:ratchet:problem:already-settled"), "ratchet bulk list"),
    ],
)
def test_a_refusal_says_where_to_look(shell: Shell, answer: Any, hint: str) -> None:
    shell.answers(f"POST /admin/recoveries/{ID}/cancel", answer)
    ended = shell("bulk", "cancel", ID, "--reason", "r")
    assert ended.code == 3
    assert hint in ended.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with BulkView(Screen(as_json=False, stdout=terminal, stderr=terminal)) as shown:
        for seen in (bulk(verified=1, pending=2), bulk("completed")):
            shown.show(BulkRecovery.model_validate(seen))
    drawn = terminal.getvalue()
    assert "3 of 3 settled" in drawn
    assert "completed" in drawn
    assert "\x1b[" in drawn
