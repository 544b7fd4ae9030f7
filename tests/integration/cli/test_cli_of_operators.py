"""What operators do on the running platform: recover many at once, settle parked messages, look before they leap."""

import json
import uuid

import pytest

from tests.harness.platform import Platform
from tests.harness.waiting import until
from tests.integration.cli.conftest import Command

CARD_FAILS = {"trouble": {"charge_card": {"kind": "permanent", "times": -1}}}


def failed(ratchet: Command, owner: str, count: int = 1, **more: object) -> list[str]:
    """Workflows of one owner that failed for good at `charge_card`."""
    content = json.dumps(CARD_FAILS | more)
    words = ("start", "delivery", "-i", content, "--owner", owner, "-o", "json")
    ids = [str(ratchet(*words).json["workflowId"]) for _ in range(count)]
    assert [ratchet("watch", each, "--timeout", "20s").code for each in ids] == [1] * count
    return ids


@pytest.fixture
def owner() -> str:
    return f"owner-{uuid.uuid4().hex[:8]}"


def test_what_failed_alike_is_recovered_at_once_canaries_first(
    ratchet: Command, platform: Platform, owner: str
) -> None:
    ids = failed(ratchet, owner, 3)
    [group] = ratchet("groups", "--owner", owner, "-o", "json").json["items"]
    assert (group["count"], group["step"]) == (3, "charge_card")
    which = ("--owner", owner, "--group", group["fingerprint"])
    assert ratchet("bulk", "preview", *which, "-o", "json").json["total"] == 3
    for each in ids:
        platform.stage.mend(uuid.UUID(each))
    start = ("bulk", "start", *which, "--reason", "the bank is back", "--canary", "1")
    assert ratchet(*start, "--expect", "2").code == 2
    ended = ratchet(*start, "--expect", "3", "--watch")
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.splitlines()[-1].startswith("completed  3 verified")
    [run] = [run for run in ratchet("bulk", "list", "-o", "json").json["items"] if run["filter"].get("owner") == owner]
    items = ratchet("bulk", "status", run["recoveryId"], "-o", "json").json["items"]
    assert {item["workflowId"]: item["outcome"] for item in items} == dict.fromkeys(ids, "verified")


def test_a_relapse_of_the_canary_stops_the_rest_and_says_which_it_was(ratchet: Command, owner: str) -> None:
    failed(ratchet, owner, 2)
    words = ("bulk", "start", "--owner", owner, "--reason", "too early", "--canary", "1", "--yes", "--watch")
    ended = ratchet(*words)
    assert ended.code == 1, ended.out + ended.err
    assert "1 relapsed" in ended.out
    assert "1 left alone" in ended.out
    assert "--outcome relapsed" in ended.out


def test_a_bulk_recovery_can_be_called_off_once(ratchet: Command, platform: Platform, owner: str) -> None:
    ids = failed(ratchet, owner, 2, hold=["charge_card"])
    for each in ids:
        platform.stage.mend(uuid.UUID(each))
    begun = ratchet("bulk", "start", "--owner", owner, "--reason", "r", "--canary", "1", "--yes", "-o", "json").json
    cancel = ("bulk", "cancel", begun["recoveryId"], "--reason", "wrong filter")
    assert "cancelled" in ratchet(*cancel).out
    again = ratchet(*cancel)
    for each in ids:
        platform.stage.release(uuid.UUID(each), "charge_card")
    assert again.code == 3
    assert "ratchet bulk list" in again.err
    assert ratchet("bulk", "watch", begun["recoveryId"]).code == 6


def test_a_parked_message_is_found_read_sent_again_and_given_up(ratchet: Command, platform: Platform) -> None:
    message_id, body = str(uuid.uuid4()), {"workflowId": str(uuid.uuid4()), "stepId": "sing", "inputs": {}}
    platform.upstream.send("step.execute", body, message_id=message_id)

    def parked(*more: str) -> list[str]:
        items = ratchet("parked", "list", "--limit", "200", "-o", "json", *more).json["items"]
        return [item["id"] for item in items if item["messageId"] == message_id]

    [first] = until(parked, bool, what="the message in the list")
    assert '"stepId": "sing"' in ratchet("parked", "show", first).out
    assert ratchet("parked", "replay", first, "--reason", "try once more").code == 5, "nobody knows yet: it may wait"
    again = ratchet("parked", "replay", first)
    assert again.code == 3
    assert "--resolved" in again.err
    [second] = until(parked, bool, what="the message parked again")
    assert ratchet("parked", "discard", second, "--reason", "nobody sings").code == 0
    assert "discarded by" in ratchet("parked", "show", second).out
    assert {first, second} <= set(parked("--resolved"))
    assert ratchet("parked", "show", str(uuid.uuid4())).code == 3


def test_a_restore_can_be_looked_at_before_it_is_done(ratchet: Command, owner: str) -> None:
    workflow_id = str(ratchet("start", "delivery", "--owner", owner, "-o", "json").json["workflowId"])
    assert ratchet("watch", workflow_id, "--timeout", "20s").code == 0
    first = ratchet("checkpoints", workflow_id, "-o", "json").json["items"][0]["seq"]
    seen = ratchet("preview", workflow_id, "--checkpoint", str(first))
    assert seen.code == 0, seen.err
    for part in ("at charge_card", "would be done again, under a new key", '- /done/1  "charge_card"'):
        assert part in seen.out
    refused = ratchet("preview", workflow_id)
    assert refused.code == 3
    assert "It would be refused" in refused.out
    assert ratchet("preview", workflow_id, "--checkpoint", "99").code == 3


def test_what_came_of_an_action_is_found_by_its_id_and_in_the_audit_log(
    ratchet: Command, platform: Platform, owner: str
) -> None:
    [workflow_id] = failed(ratchet, owner)
    platform.stage.mend(uuid.UUID(workflow_id))
    done = ratchet("retry", workflow_id, "--reason", "new card", "-o", "json").json
    assert ratchet("recovery", workflow_id, done["recoveryId"], "-o", "json").json["success"]
    listed = ratchet("audit", "list", "--workflow", workflow_id, "--action", "retry", "-o", "json").json["items"]
    assert [(entry["reason"], entry["outcome"]) for entry in listed] == [
        ("new card", "resumed"),
        ("new card", "requested"),
    ]


def test_the_platform_and_the_scan_show_how_they_stand(ratchet: Command) -> None:
    overview = ratchet("overview", "-o", "json").json
    assert overview["brokerReachable"]
    assert "executor.steps.default" in {queue["name"] for queue in overview["queues"]}
    assert ratchet("breaker", "-o", "json").json["breaker"]["state"] in {"closed", "open", "probing"}
    assert ratchet("overview", "--role", "user", "--as", "tom").code == 3
