import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.integration.admin_api.admin_stage import ADMIN, SARAH, Rows, ScriptedRecovery

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "/api/v1/workflows"
JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


async def _post(api: httpx2.AsyncClient, content: bytes | AsyncIterator[bytes], **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.post(START, content=content, headers=SARAH | JSON | named)


def _start(**fields: Any) -> bytes:
    return json.dumps({"definition": "orders"} | fields).encode()


async def test_a_declared_body_over_one_mebibyte_is_a_413(api: httpx2.AsyncClient) -> None:
    answer = await _post(api, b" " * (MIB + 1))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:ratchet:problem:too-large")


async def test_a_chunked_body_is_cut_off_at_one_mebibyte(api: httpx2.AsyncClient) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 64 * 1024
            yield b" " * (64 * 1024)

    assert (await _post(api, pieces())).status_code == 413
    assert sent <= MIB + 128 * 1024


async def test_a_body_just_below_the_limit_passes(api: httpx2.AsyncClient, rows: Rows) -> None:
    assert (await _post(api, _start(input={"blob": "x" * (MIB - 400)}))).status_code == 202


async def test_a_command_that_outgrows_the_limit_is_a_413_rather_than_parked_later(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    body = _start(input={"b": ""})
    assert (await _post(api, body.replace(b'""', b'"' + b"x" * (MIB - len(body)) + b'"'))).status_code == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "application/json; charset=utf-16"])
async def test_another_content_type_is_a_415(api: httpx2.AsyncClient, content_type: str) -> None:
    assert (await _post(api, _start(), Content_Type=content_type)).status_code == 415


async def test_a_charset_of_utf_8_may_be_named(api: httpx2.AsyncClient, rows: Rows) -> None:
    assert (await _post(api, _start(), Content_Type='Application/JSON; charset="UTF-8"')).status_code == 202


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"{", 400),
        (b'{"definition": "orders", "input": {"n": NaN}}', 400),
        (b'{"definition": "orders", "input": {"n": Infinity}}', 400),
        (b'{"definition": "orders", "input": {"n": 1e999}}', 422),
        (b'{"definition": "orders", "input": {"s": "\\u0000"}}', 422),
        (b'{"definition": "orders", "input": {"\\u0000": 1}}', 422),
        (b'{"definition": "orders", "input": {"s": "\\ud800"}}', 422),
        (b'{"definition": "or\\u0000ders"}', 422),
        (b'{"definition": ""}', 422),
        (b'{"definition": "orders", "status": "Completed"}', 422),
        (b'{"definition": "orders", "role": "admin"}', 422),
        (b'{"definition": "orders", "workflowId": "no-uuid"}', 422),
        (b'{"definition": "orders", "version": 99999999999999999999}', 422),
        (b'{"definition": "orders", "version": 0}', 422),
        (b'{"definition": "orders", "input": [1]}', 422),
        (b'{"definition": "orders", "input": {"d": ' + b"[" * 100 + b"]" * 100 + b"}}", 422),
        (b'{"definition": "orders", "input": {"d": ' + b"[" * 90_000 + b"]" * 90_000 + b"}}", 422),
        (b"\xff\xfe{", 400),
    ],
)
async def test_a_body_that_cannot_be_kept_is_refused(
    api: httpx2.AsyncClient, rows: Rows, body: bytes, status: int
) -> None:
    answer = await _post(api, body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_hundred_levels_of_input_are_accepted(api: httpx2.AsyncClient, rows: Rows) -> None:
    body = b'{"definition": "orders", "input": {"d": ' + b"[" * 99 + b"]" * 99 + b"}}"
    assert (await _post(api, body)).status_code == 202


async def test_a_refusal_lists_every_mistake_and_repeats_none_of_the_input(api: httpx2.AsyncClient) -> None:
    answer = await _post(api, b'{"version": "hunter2", "workflowId": "hunter2", "hunter": "hunter2"}')
    assert answer.status_code == 422
    assert {mistake["field"] for mistake in answer.json()["errors"]} == {
        "definition",
        "version",
        "workflowId",
        "hunter",
    }
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("offered", ["a b", "a\tb", "x" * 129, "", "ü", "a;b", "<script>"])
async def test_an_unclean_correlation_id_is_replaced(api: httpx2.AsyncClient, offered: str) -> None:
    answer = await api.get(START, headers=[("X-Correlation-ID", offered.encode())])
    given = answer.headers["X-Correlation-ID"]
    assert given != offered
    assert uuid.UUID(given)
    assert answer.json()["correlationId"] == given


async def test_unknown_routes_and_methods_are_problems_too(api: httpx2.AsyncClient) -> None:
    unknown = await api.get("/api/v1/nothing", headers=SARAH)
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:ratchet:problem:not-found")
    wrong = await api.delete(START, headers=SARAH)
    assert (wrong.status_code, wrong.json()["type"]) == (405, "urn:ratchet:problem:method-not-allowed")
    assert "POST" in wrong.headers["Allow"] or "GET" in wrong.headers["Allow"]
    assert (await api.get("/nothing")).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("text", ["'; DROP TABLE workflow_instances; --", "%", "_", "\\", "{{7*7}}", "' OR 1=1"])
async def test_filters_are_values_and_never_syntax(api: httpx2.AsyncClient, rows: Rows, text: str) -> None:
    await rows.workflow(status="Failed", failure_reason="plain")
    wanted = await rows.workflow(status="Failed", failure_reason=f"before {text} after")
    answer = await api.get("/api/v1/admin/workflows/failed", headers=ADMIN, params={"text": text})
    assert [item["workflowId"] for item in answer.json()["items"]] == [str(wanted)]


async def test_what_goes_wrong_inside_is_a_500_that_shows_nothing_of_it(
    api: httpx2.AsyncClient, rows: Rows, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: object, **_more: object) -> None:
        raise RuntimeError("secret detail of the inside")

    monkeypatch.setattr(type(app.state.collaborators.lists), "newest", broken)
    answer = await api.get(START, headers=SARAH | {"X-Correlation-ID": "c-5"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["correlationId"], answer.headers["X-Correlation-ID"]) == ("c-5", "c-5")
    assert "secret" not in answer.text


async def test_answers_are_not_cached_and_not_sniffed(api: httpx2.AsyncClient, recovery: ScriptedRecovery) -> None:
    for answer in (await api.get(START, headers=SARAH), await api.get(START)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
