"""Looking: tables for people, JSON for programs, nothing that a server says can steer the terminal."""

import json

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import history, problem, says, workflow

ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"
FAILED = workflow(
    "Failed",
    currentStep="send_survey",
    failureKind="transient",
    failureReason="TimeoutError: the mail server does not answer",
    failedAt="2026-11-24T10:05:00Z",
    requiresManualIntervention=True,
)
ATTEMPT = {"stepId": "charge_card", "attempt": 1, "outcome": "failed", "kind": "transient", "reason": "503"}


def test_status_shows_state_steps_and_reason(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history(attempts=[ATTEMPT])))
    ended = shell("status", ID)
    assert ended.code == 0
    for part in ("order-fulfilment v1  Failed", "a person", "the mail server does not answer", "reserve_stock"):
        assert part in ended.out
    assert "send_survey optional" in ended.out


def test_status_of_an_archived_workflow_says_so(shell: Shell) -> None:
    ended = workflow("Completed", archived=True, archivedAt="2026-01-01T00:00:00Z")
    shell.answers(f"GET /workflows/{ID}", says(200, ended))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    assert "archived" in shell("status", ID).out


def test_status_of_a_failed_workflow_says_what_can_be_done(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    assert f"ratchet retry {ID}" in shell("status", ID).out
    assert f"ratchet recover {ID}" in shell("status", ID).out


def test_a_step_that_kills_its_process_is_not_offered_again_without_a_word(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED))
    assert "stopped the process" not in shell("status", ID).out
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED | {"failureKind": "poison"}))
    assert "stopped the process of every executor" in shell("status", ID).out


def test_a_refusal_names_the_role_that_is_needed_and_no_other(shell: Shell) -> None:
    needed = "This needs the owner of the workflow, or the role admin."
    shell.answers(f"POST /workflows/{ID}/recover", problem(403, "Not allowed", needed))
    ended = shell("recover", ID)
    assert needed in ended.err
    assert "support" not in ended.err


def test_the_state_is_shown_on_demand(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED | {"state": {"orderId": 17, "note": "\x1b[2J"}}))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    assert '"orderId": 17' not in shell("status", ID).out
    out = shell("status", ID, "--state").out
    assert '"orderId": 17' in out
    assert "\x1b" not in out


def test_skipping_is_offered_only_where_the_step_is_optional(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    optional = [step | {"status": "current"} for step in FAILED["steps"] if step["optional"]]
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED | {"steps": optional}))
    assert f"ratchet skip {ID}" in shell("status", ID).out
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED | {"currentStep": "charge_card"}))
    assert "ratchet skip" not in shell("status", ID).out


def test_json_is_what_the_api_sent(shell: Shell) -> None:
    shell.answers(f"GET /workflows/{ID}", says(200, FAILED))
    shell.answers(f"GET /workflows/{ID}/history", says(200, history()))
    ended = shell("status", ID, "-o", "json")
    assert json.loads(ended.out) == FAILED
    assert ended.err == ""


def test_history_shows_every_kind_of_thing_that_happened(shell: Shell) -> None:
    told = history(
        attempts=[ATTEMPT],
        checkpoints=[{"seq": 7, "stepId": "reserve_stock", "current": True, "committedAt": "2026-11-24T10:00:00Z"}],
        recoveries=[{"recoveryId": "r", "kind": "skip", "actor": "li", "outcome": "done", "reason": "no mail today"}],
        events=[
            {"id": "e", "type": "WORKFLOW_STEP_SKIPPED", "time": "2026-11-24T10:00:00Z", "data": {"stepName": "s"}}
        ],
    )
    shell.answers(f"GET /workflows/{ID}/history", says(200, told | {"truncated": True}))
    out = shell("history", ID).out
    for part in ("503", "reserve_stock", "no mail today", "WORKFLOW_STEP_SKIPPED", "Older entries are left out"):
        assert part in out


def test_lists_say_how_to_go_on(shell: Shell) -> None:
    shell.answers("GET /workflows", says(200, {"items": [workflow()], "nextCursor": "abc"}))
    ended = shell("list", "--status", "in-progress", "--status", "Failed", "--limit", "1")
    assert ID in ended.out
    assert "--cursor abc" in ended.out
    assert shell.api.requests[0].url.params.get_list("status") == ["InProgress", "Failed"]


def test_failed_filters_reach_the_api(shell: Shell) -> None:
    shell.answers("GET /admin/workflows/failed", says(200, {"items": [FAILED], "nextCursor": None}))
    ended = shell("failed", "--kind", "poison", "--older-than", "15m", "--text", "mail", "--sort", "newest-first")
    assert dict(shell.api.requests[0].url.params) == {
        "kind": "poison",
        "olderThan": "900.000s",
        "text": "mail",
        "sort": "-failedAt",
        "limit": "50",
    }
    assert "the mail server does not answer" in ended.out


def test_checkpoints_show_which_are_damaged(shell: Shell) -> None:
    item = {"seq": 2, "stepId": "charge_card", "intact": False, "current": True, "state": {"a": 1}}
    shell.answers(f"GET /admin/workflows/{ID}/checkpoints", says(200, {"items": [item], "nextCursor": None}))
    out = shell("checkpoints", ID).out
    assert "damaged" in out
    assert f"ratchet restore {ID} SEQ" in out


def test_what_a_server_says_cannot_steer_the_terminal(shell: Shell) -> None:
    nasty = FAILED | {"failureReason": "\x1b[2J[bold]boo[/bold]\nnext line \u202e", "ownerId": "\x1b]0;title\x07sarah"}
    shell.answers("GET /admin/workflows/failed", says(200, {"items": [nasty], "nextCursor": None}))
    table, document = shell("failed").out, shell("failed", "-o", "json").out
    assert "\x1b" not in table + document
    assert "\x07" not in table + document
    assert "\u202e" not in table + document
    assert "[bold]boo[/bold]" in table


def test_a_pipe_gets_no_colours_and_whole_ids(shell: Shell) -> None:
    shell.answers("GET /admin/workflows/failed", says(200, {"items": [FAILED], "nextCursor": None}))
    out = shell("failed").out
    assert "\x1b[" not in out
    assert ID in out


def test_a_refusal_says_why_what_to_do_and_how_to_find_it_in_the_logs(shell: Shell) -> None:
    shell.answers("GET /admin/workflows/failed", problem(403, "Not allowed", "This needs the role support or admin."))
    ended = shell("failed")
    assert ended.code == 3
    assert "error: Not allowed: This needs the role support or admin." in ended.err
    assert "--as NAME" in ended.err
    assert "correlation id corr-1" in ended.err
    assert ended.out == ""


def test_a_tampered_audit_log_is_named_and_told_by_the_exit_code(shell: Shell) -> None:
    finding = {"kind": "edited", "auditId": 7, "position": 5}
    found = {"intact": False, "checked": 9, "unsealed": 0, "findings": [finding], "head": {"position": 9, "hash": "ab"}}
    shell.answers("GET /admin/audit/verification", says(200, found))
    ended = shell("audit", "verify")
    assert ended.code == 1
    for part in ("tampered", "edited", "7", "--head-position 9 --head-hash ab"):
        assert part in ended.out


def test_an_intact_audit_log_says_how_much_was_checked(shell: Shell) -> None:
    found = {"intact": True, "checked": 9, "unsealed": 2, "findings": [], "head": {"position": 9, "hash": "ab"}}
    shell.answers("GET /admin/audit/verification", says(200, found))
    ended = shell("audit", "verify")
    assert ended.code == 0
    assert "9 entries" in ended.out
    assert "2 newer entries" in ended.out
