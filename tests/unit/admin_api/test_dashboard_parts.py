from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admin_api.dashboard.doings import DOINGS, offered, seen_mark, statuses_to_set
from admin_api.dashboard.render import bars, duration, link, marked
from admin_api.dashboard.session import form_token, is_from_here, is_own_form, local_path
from ratchet.domain.workflow import WorkflowStatus
from ratchet.tokens import Principal, Role
from starlette.datastructures import Headers


def principal(sub: str, *roles: Role) -> Principal:
    return Principal(sub, frozenset(roles or {Role.USER}), datetime.now(UTC) + timedelta(hours=1))


def workflow(**changes: Any) -> dict[str, Any]:
    steps = [
        {"stepId": "charge", "optional": False, "status": "done"},
        {"stepId": "survey", "optional": True, "status": "current"},
    ]
    return {
        "status": "Failed",
        "ownerId": "sarah",
        "currentStep": "survey",
        "failedAt": "2026-01-01T10:00:00Z",
        "lastCheckpointAt": None,
        "steps": steps,
    } | changes


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil", "evil", "", None, "javascript:alert(1)"],
)
def test_signing_in_never_leads_to_another_site(elsewhere: str | None) -> None:
    assert local_path(elsewhere) == "/"


def test_signing_in_leads_back_to_the_page_that_was_asked_for() -> None:
    assert local_path("/workflows/1?recovery=2") == "/workflows/1?recovery=2"


def test_a_form_belongs_to_one_session() -> None:
    assert is_own_form(form_token("token-a"), "token-a")
    assert not is_own_form(form_token("token-a"), "token-b")
    assert not is_own_form("", "token-a")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://api"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://api", "host": "api"}, True),
        ({"origin": "http://evil", "host": "api"}, False),
        ({"origin": "null", "host": "api"}, False),
        ({"host": "api"}, True),
    ],
)
def test_the_browser_tells_whose_page_sent_a_form(headers: dict[str, str], ours: bool) -> None:
    assert is_from_here(Headers(headers)) is ours


def test_an_owner_is_offered_what_an_owner_may_do() -> None:
    names = {doing.name for doing in offered(principal("sarah"), workflow())}
    assert names == {"recover", "retry", "skip", "cancel"}


def test_support_is_offered_a_restore_and_nothing_that_changes_more() -> None:
    assert {doing.name for doing in offered(principal("sue", Role.SUPPORT), workflow())} == {"restore"}


def test_an_admin_is_offered_everything_the_status_allows() -> None:
    names = {doing.name for doing in offered(principal("ada", Role.ADMIN), workflow())}
    assert names == {"recover", "retry", "skip", "restore", "override", "cancel"}


def test_a_step_that_is_not_optional_cannot_be_skipped() -> None:
    steps = [{"stepId": "survey", "optional": False, "status": "current"}]
    assert "skip" not in {doing.name for doing in offered(principal("sarah"), workflow(steps=steps))}


@pytest.mark.parametrize("doing", DOINGS.values(), ids=lambda doing: doing.name)
def test_every_action_says_what_will_happen(doing: Any) -> None:
    assert len(doing.consequence(workflow())) > 30
    assert len(doing.consequence(workflow(currentStep=None, status="Executing"))) > 10


def test_an_override_offers_only_what_the_table_allows_and_never_executing() -> None:
    assert statuses_to_set(workflow()) == ["Cancelled", "Completed", "InProgress"]
    for status in WorkflowStatus:
        assert "Executing" not in statuses_to_set(workflow(status=status.value))


def test_a_failed_workflow_that_failed_again_is_not_what_was_seen() -> None:
    assert seen_mark(workflow(etag='"a"')) != seen_mark(workflow(etag='"b"'))
    assert seen_mark(workflow(etag='"a"')) == "a"


def test_marked_text_is_escaped_inside_and_outside_of_its_marks() -> None:
    assert marked("a `<b>` <i>") == "a <code>&lt;b&gt;</code> &lt;i&gt;"
    assert marked("one ` alone <b>") == "one ` alone &lt;b&gt;"


def test_links_keep_the_filters_and_drop_what_is_taken_out() -> None:
    assert link("/", {"step": "a b", "cursor": "x"}, cursor=None) == "/?step=a+b"


def test_a_bar_that_is_not_zero_can_be_seen() -> None:
    assert [tall for _top, tall in bars([0, 1, 1000])] == [0, 2, 20]


def test_durations_read_well() -> None:
    at = "2026-01-01T10:00:00Z"
    assert duration(at, "2026-01-01T10:00:00.053Z") == "53 ms"
    assert duration(at, "2026-01-01T10:00:12Z") == "12.0 s"
    assert duration(at, "2026-01-01T10:10:00Z") == "10 min"
    assert duration(None, at) == ""
