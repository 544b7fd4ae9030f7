"""How the platform stands: groups of failures, counts and queues, the scan's breaker, one recovery, the audit log."""

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import says
from tests.unit.cli.test_cli_bulk import group

ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"
OVERVIEW = {
    "failed": 3,
    "executing": 1,
    "inProgress": 4,
    "waitingForRetry": 1,
    "waitingForCommand": 0,
    "outbox": 2,
    "oldestMessageAt": "2026-11-24T10:00:00Z",
    "parked": 1,
    "executorsAtWork": 1,
    "brokerReachable": False,
    "queues": [{"name": "executor.steps.default", "messages": 17, "consumers": 2}],
    "dependencies": [
        {"name": "smtp", "state": "open", "changedAt": "2026-11-24T10:00:00Z", "probeAt": "2026-11-24T10:00:20Z"},
        {"name": "erp", "state": "probing", "changedAt": "2026-11-24T10:00:00Z", "probeAt": None},
        {"name": "bank", "state": "closed", "changedAt": None, "probeAt": None},
        {"name": "crm", "state": None, "changedAt": None, "probeAt": None},
    ],
}


def scan(state: str, **changes: Any) -> dict[str, Any]:
    breaker = {
        "state": state,
        "changedAt": "2026-11-24T10:00:00Z",
        "probeAt": "2026-11-24T10:05:00Z" if state == "open" else None,
        "verified": 1,
        "relapsed": 12,
        "pending": 0,
    }
    last = {"scannedAt": "2026-11-24T10:00:00Z", "resumed": 1, "failed": 0, "attended": 2, "heldBack": 5}
    return {"breaker": breaker, **last} | changes


def test_groups_show_count_cause_trend_and_how_to_go_on(shell: Shell) -> None:
    shell.answers("GET /admin/failure-groups", says(200, {"items": [group(12)], "nextCursor": None}))
    ended = shell("groups", "--definition", "order-fulfilment", "--kind", "transient")
    assert ended.code == 0
    for part in ("12", "TimeoutError", "order <id> timed out", "a1b2", "▄█", "ratchet failed --group"):
        assert part in ended.out
    params = dict(shell.api.requests[0].url.params)
    assert params == {"definition": "order-fulfilment", "kind": "transient", "limit": "50"}


def test_the_overview_shows_counts_and_queues_and_what_to_look_into(shell: Shell) -> None:
    shell.answers("GET /admin/overview", says(200, OVERVIEW))
    ended = shell("overview")
    assert ended.code == 0
    for part in ("executor.steps.default", "17", "away", "ratchet groups", "ratchet parked list", "ratchet doctor"):
        assert part in ended.out
    assert json.loads(shell("overview", "-o", "json").out) == OVERVIEW


def test_the_overview_says_of_each_dependency_whether_its_steps_are_held_back(shell: Shell) -> None:
    shell.answers("GET /admin/overview", says(200, OVERVIEW))
    lines = {
        name: line
        for line in shell("overview").out.splitlines()
        for name in ("smtp", "erp", "bank", "crm")
        if f"depends on {name}" in line
    }
    assert "its steps are held back" in lines["smtp"]
    assert "one tries at" in lines["smtp"]
    assert "go in waves" in lines["erp"]
    assert "well" in lines["bank"]
    assert "Redis does not answer" in lines["crm"]


@pytest.mark.parametrize(
    ("state", "said"), [("closed", "are rescued"), ("open", "nobody is rescued"), ("probing", "a few are rescued")]
)
def test_the_breaker_says_whether_the_scan_rescues(shell: Shell, state: str, said: str) -> None:
    shell.answers("GET /admin/scan", says(200, scan(state)))
    out = shell("breaker").out
    assert said in out
    assert "12 relapsed" in out
    assert ("tries again at" in out) is (state == "open")
    assert ("ratchet groups" in out) is (state != "closed")


@pytest.mark.parametrize(
    ("success", "outcome", "code"), [(None, "requested", 5), (True, "resumed", 0), (False, "refused", 1)]
)
def test_one_recovery_tells_by_the_exit_code_what_came_of_it(
    shell: Shell, success: bool | None, outcome: str, code: int
) -> None:
    told = {"recoveryId": "r1", "success": success, "outcome": outcome, "detail": "as it is"}
    shell.answers(f"GET /workflows/{ID}/recoveries/r1", says(200, told))
    ended = shell("recovery", ID, "r1")
    assert ended.code == code
    assert outcome in ended.out
    assert "as it is" in ended.out


def test_the_audit_log_is_listed_by_whatever_is_asked(shell: Shell) -> None:
    entry = {
        "id": 7,
        "at": "2026-11-24T10:00:00Z",
        "workflowId": ID,
        "actor": "li",
        "action": "override",
        "reason": "by hand",
        "before": {"status": "Failed"},
        "after": None,
        "outcome": "refused",
        "correlationId": "corr-1",
    }
    shell.answers("GET /admin/audit", says(200, {"items": [entry], "nextCursor": "abc"}))
    ended = shell("audit", "list", "--workflow", ID, "--actor", "li", "--outcome", "refused", "--action", "override")
    assert ended.code == 0
    for part in (ID, "override", "refused", "by hand", "--cursor abc"):
        assert part in ended.out
    params = dict(shell.api.requests[0].url.params)
    assert params == {"workflowId": ID, "actor": "li", "action": "override", "outcome": "refused", "limit": "50"}
