"""The dashboard's pages as HTML, on real servers and with a scripted recovery service."""

import re
import uuid
from datetime import timedelta

import pytest
from fastapi import FastAPI

from tests.integration.admin_api.admin_stage import EPOCH, Rows, token
from tests.integration.admin_api.dashboard_visitor import Browser, failed, hidden

pytestmark = pytest.mark.asyncio(loop_scope="module")

NASTY = "<script>alert(1)</script> \"quoted\" 'single' {{'zq'*3}} <img src=x onerror=alert(1)>"


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_the_front_page_asks_to_sign_in_and_every_other_page_leads_there(browser: Browser) -> None:
    front = await browser.get("/")
    assert front.status_code == 200
    assert "Paste the token" in front.text
    for path in ("/workflows/1", "/bulk", "/audit", "/parked", "/mine"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")
    piece = await browser.get("/live/strip", headers={"HX-Request": "true"})
    assert (piece.status_code, piece.headers["hx-redirect"]) == (401, "/sign-in")


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Browser) -> None:
    answer = await browser.sign_in("sarah")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    encrypted = await browser.http.post("https://dashboard/sign-in", data={"token": token("sarah")})
    assert "secure" in encrypted.headers["set-cookie"].lower()
    assert "max-age" in encrypted.headers["strict-transport-security"]


@pytest.mark.parametrize("wrong", ["", "nonsense", "a.b.c"])
async def test_a_wrong_token_is_refused_with_a_reason_and_no_cookie(browser: Browser, wrong: str) -> None:
    answer = await browser.http.post("/sign-in", data={"token": wrong})
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


async def test_an_expired_session_has_to_sign_in_again(browser: Browser) -> None:
    browser.http.cookies.set("ratchet_session", token("sarah", expires_in=-1))
    assert "Paste the token" in (await browser.get("/")).text


async def test_another_site_can_neither_sign_somebody_in_nor_send_forms(browser: Browser, rows: Rows) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = await browser.http.post("/sign-in", data={"token": token("mallory")}, headers=foreign)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    await browser.sign_in("sarah")
    workflow_id = await failed(rows)
    action = f"/workflows/{workflow_id}/do/retry"
    fields = hidden(await browser.get(action), action) | {"reason": "why"}
    assert (await browser.http.post(action, data=fields, headers=foreign)).status_code == 403
    assert (await browser.http.post(action, data=fields | {"csrf": "0" * 64})).status_code == 403
    assert (await browser.http.post(action, data={"reason": "why"})).status_code == 403


async def test_signing_out_forgets_the_session(browser: Browser) -> None:
    await browser.sign_in("sarah")
    await browser.post("/sign-out", page="/")
    assert "Paste the token" in (await browser.get("/")).text


# --- looking ----------------------------------------------------------------------------------------------------------


async def test_the_inbox_shows_failures_oldest_first_with_counts_and_filters_in_the_links(
    browser: Browser, rows: Rows
) -> None:
    newer = await failed(rows, failed_at=EPOCH + timedelta(hours=1))
    older = await failed(rows, failed_at=EPOCH, owner_id="tom")
    await browser.sign_in("sue", "support")
    page = (await browser.get("/")).text
    assert page.index(str(older)) < page.index(str(newer))
    filtered = (await browser.get("/?owner=tom")).text
    assert str(older) in filtered
    assert str(newer) not in filtered
    assert 'name="owner" value="tom"' in filtered


async def test_a_filter_that_cannot_be_read_is_told_and_not_ignored(browser: Browser) -> None:
    await browser.sign_in("sue", "support")
    answer = await browser.get("/?olderThan=soon")
    assert answer.status_code == 422
    assert "olderThan" in answer.text
    assert "15s" in answer.text


async def test_a_long_inbox_has_pages_that_keep_the_filters(browser: Browser, rows: Rows) -> None:
    for number in range(55):
        await rows.workflow(status="Failed", failed_at=EPOCH + timedelta(minutes=number))
    await browser.sign_in("ada", "admin")
    first = (await browser.get("/?definition=orders")).text
    assert first.count("data-row=") == 50
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    assert "definition=orders" in following[1]
    second = (await browser.get(following[1].replace("&amp;", "&"))).text
    assert second.count("data-row=") == 5


async def test_news_are_told_without_moving_rows(browser: Browser, rows: Rows) -> None:
    old = await failed(rows, failed_at=EPOCH)
    gone = await failed(rows, failed_at=EPOCH + timedelta(seconds=1))
    await browser.sign_in("ada", "admin")
    live = re.search(r'hx-get="(/live/inbox[^"]+)"', (await browser.get("/")).text)
    assert live
    await rows.pool.execute("UPDATE workflow_instances SET status = 'Completed' WHERE id = $1", gone)
    await failed(rows, failed_at=EPOCH + timedelta(seconds=2))
    told = (await browser.get(live[1].replace("&amp;", "&"), headers={"HX-Request": "true"})).text
    assert "1 new failure since" in told
    assert f'id="state-{gone}"' in told
    assert "Completed" in told
    assert f'id="state-{old}"' not in told
    assert "data-row" not in told


async def test_a_plain_user_sees_only_their_own_workflows(browser: Browser, rows: Rows) -> None:
    own, other = await failed(rows), await failed(rows, owner_id="tom")
    await browser.sign_in("sarah")
    page = (await browser.get("/")).text
    assert str(own) in page
    assert str(other) not in page
    foreign = await browser.get(f"/workflows/{other}")
    assert foreign.status_code == 403
    assert "it broke" not in foreign.text
    for path in ("/bulk/new", "/?tab=groups"):
        assert str(other) not in (await browser.get(path)).text


@pytest.mark.parametrize("page", ["/", "/?tab=groups", "/?tab=all", "/mine?tab=all", "workflow", "act", "/bulk/new"])
async def test_what_others_wrote_is_text_on_every_page(browser: Browser, rows: Rows, page: str) -> None:
    workflow_id = await failed(
        rows, failure_reason=NASTY, owner_id="<b>sarah</b>", failure_class="<i>", correlation_id="<u>"
    )
    await rows.failed_attempt(workflow_id, 2, at=EPOCH, reason=NASTY)
    await browser.sign_in("<b>sarah</b>", "admin")
    paths = {"workflow": f"/workflows/{workflow_id}", "act": f"/workflows/{workflow_id}/do/retry"}
    answer = await browser.get(paths.get(page, page))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    assert "<b>sarah" not in answer.text
    assert "&lt;b&gt;sarah" in answer.text
    assert "zqzqzq" not in answer.text


async def test_pages_run_no_script_but_our_files(browser: Browser, rows: Rows) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("ada", "admin")
    for path in ("/", f"/workflows/{workflow_id}", "/sign-in", "/docs", f"/workflows/{workflow_id}/do/override"):
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert re.findall(r"<script(?! src=\"/static/)", answer.text) == []
        assert re.findall(r"\son\w+=|\sstyle=|<style|javascript:|https?://(?!www.w3.org)", answer.text) == []


async def test_the_workflow_page_tells_why_it_failed_and_where_it_stands(browser: Browser, rows: Rows) -> None:
    workflow_id = await failed(rows, failure_reason="TimeoutError: the mail server is slow")
    await browser.sign_in("sarah")
    page = (await browser.get(f"/workflows/{workflow_id}")).text
    for text in (
        "the mail server is slow",
        "checkpoint 2",
        "stands here",
        "optional",
        str(workflow_id),
        "ratchet skip",
    ):
        assert text in page
    assert "do/restore" not in page
    assert "do/override" not in page


async def test_a_workflow_page_that_has_not_changed_gets_no_news(browser: Browser, rows: Rows) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("ada", "admin")
    live = re.search(r'hx-get="(/workflows/[^"]+/live[^"]*)"', (await browser.get(f"/workflows/{workflow_id}")).text)
    assert live
    address = live[1].replace("&amp;", "&")
    assert (await browser.get(address)).status_code == 204
    await rows.pool.execute("UPDATE workflow_instances SET status = 'InProgress' WHERE id = $1", workflow_id)
    news = await browser.get(address)
    assert news.status_code == 200
    assert "InProgress" in news.text
    assert "<html" not in news.text


@pytest.mark.parametrize(
    "path", ["/workflows/nothing", f"/workflows/{uuid.uuid4()}", "/bulk/%2e%2e%2fx", "/workflows/x%3fy"]
)
async def test_what_does_not_exist_is_a_page_that_says_so(browser: Browser, path: str) -> None:
    await browser.sign_in("ada", "admin")
    answer = await browser.get(path)
    assert answer.status_code == 404


async def test_static_files_are_kept_by_browsers_and_come_without_signing_in(browser: Browser) -> None:
    page = (await browser.get("/sign-in")).text
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        answer = await browser.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await browser.get("/static/../app.py")).status_code == 404


async def test_the_reference_names_every_operation_and_needs_no_other_site(browser: Browser, app: FastAPI) -> None:
    page = (await browser.get("/docs")).text
    for path in app.openapi()["paths"].values():
        for operation in path.values():
            assert f'id="{operation["operationId"]}"' in page
