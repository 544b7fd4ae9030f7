"""`ratchet parked …`: what lies there, what is in it, and sending it again or giving it up."""

import base64
import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import problem, says

ID = "0b2f6a50-8c1e-4a36-9df2-52a1a7a1f0aa"
OTHER = "7f0d6c1e-3f5e-4c0a-8a53-0f2b6a508c1e"


def parked(identity: str = ID, **changes: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "messageId": "m-1",
        "type": "workflow.start",
        "exchange": "ratchet.commands",
        "routingKey": "workflow.start",
        "headers": {"x-sent-by": "shop"},
        "correlationId": "corr-1",
        "reason": "No definition has this name",
        "body": '{"definition": "no-such"}',
        "bodyIsText": True,
        "parkedBy": "executor",
        "parkedAt": "2026-11-24T10:00:00Z",
        "resolution": None,
        "resolvedAt": None,
        "resolvedBy": None,
        "resolutionReason": None,
    } | changes


def listed(shell: Shell, *pages: list[dict[str, Any]]) -> None:
    cursors = [*(str(number) for number in range(1, len(pages))), None]
    answers = [says(200, {"items": page, "nextCursor": cursor}) for page, cursor in zip(pages, cursors, strict=True)]
    shell.answers("GET /admin/parked", *answers)


def test_the_list_shows_what_lies_there_and_why(shell: Shell) -> None:
    listed(shell, [parked()])
    ended = shell("parked", "list", "--limit", "10")
    assert ended.code == 0
    for part in (ID, "executor", "ratchet.commands workflow.start", "No definition has this name"):
        assert part in ended.out
    assert dict(shell.api.requests[0].url.params) == {"resolved": "false", "limit": "10"}


def test_settled_ones_are_listed_on_demand(shell: Shell) -> None:
    listed(shell, [parked(resolution="discarded")])
    assert "discarded" in shell("parked", "list", "--resolved").out
    assert shell.api.requests[0].url.params["resolved"] == "true"


def test_one_message_is_found_on_whatever_page_it_is(shell: Shell) -> None:
    listed(shell, [parked(OTHER)], [parked(OTHER)], [parked(resolution="replayed", resolvedBy="li")])
    ended = shell("parked", "show", ID)
    assert ended.code == 0
    for part in ('"definition": "no-such"', "x-sent-by", "shop", "replayed by li"):
        assert part in ended.out
    assert "ratchet parked replay" not in ended.out


def test_an_open_message_says_what_can_be_done(shell: Shell) -> None:
    listed(shell, [parked()])
    out = shell("parked", "show", ID).out
    assert f"ratchet parked replay {ID}" in out
    assert f"ratchet parked discard {ID} --reason" in out


def test_a_body_that_is_no_text_cannot_be_sent_again(shell: Shell) -> None:
    listed(shell, [parked(body=base64.b64encode(b"\xff\xfe").decode(), bodyIsText=False)])
    out = shell("parked", "show", ID).out
    assert "base64" in out
    assert "ratchet parked replay" not in out


def test_a_body_cannot_steer_the_terminal(shell: Shell) -> None:
    listed(shell, [parked(body="no json\x1b[2J\u202e\nsecond line", headers={"x": "\x1b[2J"})])
    out = shell("parked", "show", ID).out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "no json\\x1b[2J" in out
    assert "\nsecond line" in out


def test_in_json_a_message_is_what_the_api_sent(shell: Shell) -> None:
    listed(shell, [parked()])
    assert json.loads(shell("parked", "show", ID, "-o", "json").out) == parked()


def test_a_message_that_is_not_there_is_refused(shell: Shell) -> None:
    listed(shell, [])
    ended = shell("parked", "show", ID)
    assert ended.code == 3
    assert "ratchet parked list" in ended.err


def test_a_replay_may_say_why(shell: Shell) -> None:
    done = {"id": ID, "resolution": "replayed", "outcome": "carried-out", "reason": None}
    shell.answers(f"POST /admin/parked/{ID}/replay", says(200, done))
    assert shell("parked", "replay", ID).code == 0
    assert shell("parked", "replay", ID, "--reason", "deployed now").code == 0
    assert [json.loads(request.content) for request in shell.api.requests] == [{}, {"reason": "deployed now"}]


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        ("carried-out", 0, "carried out"),
        ("sent", 0, "Sent again."),
        ("parked-again", 1, "parked again (ratchet parked list): still no such definition"),
        (None, 5, "Nothing shows yet"),
    ],
)
def test_a_replay_says_whether_it_helped(shell: Shell, outcome: str | None, code: int, words: str) -> None:
    reason = "still no such definition" if outcome == "parked-again" else None
    answer = {"id": ID, "resolution": "replayed", "outcome": outcome, "reason": reason}
    shell.answers(f"POST /admin/parked/{ID}/replay", says(200, answer))
    ended = shell("parked", "replay", ID)
    assert ended.code == code
    assert words in " ".join(ended.out.split())


def test_a_discard_must_say_why(shell: Shell) -> None:
    shell.answers(f"POST /admin/parked/{ID}/discard", says(200, {"id": ID, "resolution": "discarded"}))
    assert shell("parked", "discard", ID).code == 2
    ended = shell("parked", "discard", ID, "--reason", "a test sent it")
    assert ended.code == 0
    assert "stays on record" in ended.out
    assert json.loads(shell.api.requests[0].content) == {"reason": "a test sent it"}


def test_what_cannot_be_replayed_can_be_discarded(shell: Shell) -> None:
    refused = problem(409, "The message cannot be sent again", type="urn:ratchet:problem:not-replayable")
    shell.answers(f"POST /admin/parked/{ID}/replay", refused)
    ended = shell("parked", "replay", ID)
    assert ended.code == 3
    assert "ratchet parked discard" in ended.err
