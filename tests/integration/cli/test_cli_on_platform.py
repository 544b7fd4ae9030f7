"""The command against the running platform, as people and scripts use it."""

import json

import pytest

from tests.harness.platform import Platform
from tests.harness.waiting import until
from tests.integration.cli.conftest import Command

FAILS_FOR_GOOD = json.dumps({"trouble": {"charge_card": {"kind": "permanent", "times": -1}}})
SURVEY_FAILS = json.dumps({"trouble": {"send_survey": {"kind": "permanent", "times": -1}}})
FAILS_TWICE = json.dumps({"trouble": {"charge_card": {"kind": "transient", "times": 2}}})


def start(ratchet: Command, content: str, *more: str) -> str:
    return str(ratchet("start", "delivery", "-i", content, "-o", "json", *more).json["workflowId"])


def wait(ratchet: Command, workflow_id: str) -> int:
    return ratchet("watch", workflow_id, "--timeout", "20s").code


def test_a_workflow_is_started_and_watched_to_its_end(ratchet: Command) -> None:
    ended = ratchet("start", "delivery", "-i", FAILS_TWICE, "--watch")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "Completed"
    assert "step retrying  charge_card · attempt 2 of 3" in ended.out


def test_watching_in_json_ends_with_the_workflow_as_it_ended(ratchet: Command) -> None:
    ended = ratchet("start", "delivery", "-i", FAILS_FOR_GOOD, "--watch", "-o", "json")
    assert ended.code == 1
    assert ended.lines[-1]["status"] == "Failed"
    assert "The card is not valid" in ended.lines[-1]["failureReason"]


def test_a_failed_workflow_is_found_understood_mended_and_retried(ratchet: Command, platform: Platform) -> None:
    workflow_id = start(ratchet, FAILS_FOR_GOOD)
    assert wait(ratchet, workflow_id) == 1
    found = ratchet("failed", "--step", "charge_card", "--kind", "permanent", "-o", "json", "--sort", "newest-first")
    assert workflow_id in {item["workflowId"] for item in found.json["items"]}
    told = ratchet("status", workflow_id)
    assert "PermanentError: The card is not valid" in told.out
    assert f"ratchet retry {workflow_id}" in told.out

    platform.stage.mend(until(lambda: ratchet("status", workflow_id, "-o", "json").json, bool, what="it")["workflowId"])
    retried = ratchet("retry", workflow_id, "--reason", "new card", "--watch")
    assert retried.code == 0, retried.err
    history = ratchet("history", workflow_id, "-o", "json").json
    assert [item["reason"] for item in history["recoveries"] if item["kind"] == "retry"] == ["new card"]


def test_recovery_goes_on_from_the_checkpoint_and_says_so(ratchet: Command, platform: Platform) -> None:
    workflow_id = start(ratchet, FAILS_FOR_GOOD)
    assert wait(ratchet, workflow_id) == 1
    platform.stage.mend(ratchet("status", workflow_id, "-o", "json").json["workflowId"])
    recovered = ratchet("recover", workflow_id)
    assert recovered.code == 0, recovered.err
    assert "goes on at charge_card from the checkpoint of" in recovered.out
    assert wait(ratchet, workflow_id) == 0
    assert ratchet("recover", workflow_id).code == 3


def test_an_optional_step_is_skipped_and_others_are_not(ratchet: Command) -> None:
    optional, needed = start(ratchet, SURVEY_FAILS), start(ratchet, FAILS_FOR_GOOD)
    assert [wait(ratchet, optional), wait(ratchet, needed)] == [1, 1]
    assert f"ratchet skip {optional}" in ratchet("status", optional).out
    assert ratchet("skip", optional, "--watch").code == 0
    refused = ratchet("skip", needed)
    assert refused.code == 3
    assert refused.err.startswith("error: ")


def test_a_workflow_is_paused_resumed_and_cancelled(ratchet: Command, platform: Platform) -> None:
    workflow_id = start(ratchet, json.dumps({"hold": ["book_carrier"]}))
    person = platform.person("li", "admin")
    waiting = until(
        lambda: ratchet("status", workflow_id, "-o", "json").json,
        lambda seen: seen["currentStep"] == "book_carrier",
        what="the held step",
    )
    assert ratchet("pause", workflow_id).code == 0
    assert "ratchet resume" in ratchet("status", workflow_id).out
    platform.stage.release(waiting["workflowId"], "book_carrier")
    assert ratchet("resume", workflow_id).code == 0
    person.wait_for_status(waiting["workflowId"], "Completed")
    other = start(ratchet, json.dumps({"hold": ["book_carrier"]}))
    assert ratchet("cancel", other, "--reason", "ordered twice").code == 0
    assert wait(ratchet, other) == 6


def test_a_workflow_is_restored_to_an_earlier_checkpoint(ratchet: Command) -> None:
    workflow_id = start(ratchet, "{}")
    assert wait(ratchet, workflow_id) == 0
    listed = ratchet("checkpoints", workflow_id, "-o", "json").json["items"]
    assert [item["stepId"] for item in listed][:2] == ["pick_goods", "charge_card"]
    restored = ratchet("restore", workflow_id, str(listed[0]["seq"]), "--reason", "wrong carrier")
    assert restored.code == 0, restored.err
    assert "goes on at charge_card" in restored.out
    assert wait(ratchet, workflow_id) == 0


def test_a_step_that_waits_is_driven_by_a_command(ratchet: Command) -> None:
    started = ratchet("start", "document-approval", "-i", '{"title": "Plan"}', "-o", "json")
    workflow_id = started.json["workflowId"]
    until(
        lambda: ratchet("status", workflow_id).out,
        lambda out: "waits for a command" in out,
        what="the step that waits",
    )
    assert ratchet("execute", workflow_id, "approve", "-i", "-", stdin='{"approved": true, "by": "li"}').code == 0
    assert wait(ratchet, workflow_id) == 0


def test_events_are_shown_for_everybody_or_for_oneself(ratchet: Command) -> None:
    workflow_id = start(ratchet, FAILS_TWICE, "--owner", "tail-test")
    assert wait(ratchet, workflow_id) == 0
    everybody = ratchet("tail", "--after", "0", "--workflow", workflow_id, "--count", "3", "-o", "json")
    own = ratchet("tail", "--after", "0", "--count", "3", "-o", "json", "--as", "tail-test", "--role", "user")
    kinds = ["WORKFLOW_STEP_RETRYING", "WORKFLOW_STEP_RETRYING", "WORKFLOW_COMPLETED"]
    assert [event["type"] for event in everybody.lines] == kinds
    assert [event["type"] for event in own.lines] == kinds
    assert everybody.err == own.err == ""


def test_a_gap_in_the_feed_is_no_silence(ratchet: Command) -> None:
    ended = ratchet("tail", "--after", "1000000", "--count", "1")
    assert ended.code == 5
    assert "follow again after position" in ended.err


def test_a_scan_is_taken_by_recovery(ratchet: Command, platform: Platform) -> None:
    ended = ratchet("scan", "--reason", "asked by a test", "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.json["messageId"]
    assert platform.sql("SELECT count(*) AS parked FROM parked_messages WHERE type = 'RestartScan'") == [{"parked": 0}]


def test_the_audit_log_of_a_refusal_is_intact(ratchet: Command) -> None:
    workflow_id = start(ratchet, "{}")
    assert wait(ratchet, workflow_id) == 0
    assert ratchet("override", workflow_id, "paused", "--reason", "refused, and audited").code == 3
    ended = ratchet("audit", "verify", "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.json["intact"]


def test_people_see_their_own_and_are_told_what_they_may_not(ratchet: Command) -> None:
    workflow_id = start(ratchet, "{}", "--owner", "sarah")
    assert wait(ratchet, workflow_id) == 0
    hers = ratchet("list", "-o", "json", "--as", "sarah", "--role", "user").json["items"]
    assert workflow_id in {item["workflowId"] for item in hers}
    assert ratchet("status", workflow_id, "--as", "tom", "--role", "user").code == 3
    refused = ratchet("failed", "--as", "sarah", "--role", "user")
    assert refused.code == 3
    assert "support or admin" in refused.err


@pytest.mark.parametrize("words", [("status", "00000000-0000-4000-8000-000000000000"), ("start", "no-such-workflow")])
def test_what_does_not_exist_is_told_with_a_correlation_id(ratchet: Command, words: tuple[str, ...]) -> None:
    ended = ratchet(*words)
    assert ended.code == 3
    assert "correlation id" in ended.err


def test_the_doctor_finds_a_running_platform_healthy(ratchet: Command) -> None:
    ended = ratchet("doctor")
    assert ended.code == 0, ended.out
    assert "to put right" not in ended.out
    assert "published, consumed, dead-lettered, consumed in" in ended.out


def test_the_doctor_names_a_service_that_is_down(ratchet: Command, platform: Platform) -> None:
    platform.stop("notifier")
    try:
        ended = ratchet("doctor", "-o", "json")
    finally:
        platform.start("notifier")
    reds = [finding for finding in ended.json["findings"] if finding["level"] == "red"]
    assert ended.code == 1
    assert [finding["subject"] for finding in reds] == ["notifier"]


def test_watching_needs_no_notifier(ratchet: Command, platform: Platform) -> None:
    platform.stop("notifier")
    try:
        assert ratchet("start", "delivery", "--watch").code == 0
    finally:
        platform.start("notifier")


def test_a_running_platform_s_folder_is_all_the_command_needs(ratchet: Command, platform: Platform) -> None:
    bare = {name: value for name, value in ratchet.environ.items() if not name.startswith("RATCHET_")}
    project = ratchet.folder / "project"
    (project / ".ratchet").mkdir(parents=True)
    (project / ".ratchet" / "env").write_text(platform.running.folder.env_file.read_text())
    assert Command(bare, project)("list", "-o", "json").code == 0
    assert Command(bare, ratchet.folder)("list").code == 2
