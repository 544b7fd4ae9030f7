"""The API's reference as a page, made from its OpenAPI document: it needs nothing from any other site."""

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from admin_api.dashboard.render import render, schema_name

Json = dict[str, Any]


async def reference(request: Request) -> Response:
    """Every route with its parameters, body, answers, and a line for the shell."""
    document = request.app.openapi()
    groups: dict[str, list[Json]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_entry(path, method, operation))
    schemas = dict(sorted(document["components"]["schemas"].items()))
    return HTMLResponse(render("reference.html", info=document["info"], groups=groups, schemas=schemas))


def _entry(path: str, method: str, operation: Json) -> Json:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "path": path,
        "method": method.upper(),
        "id": operation["operationId"],
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": operation.get("parameters", []),
        "body": None if body is None else schema_name(body),
        "answers": [
            {"status": status, "description": answer.get("description", ""), "schema": _schema_of(answer)}
            for status, answer in sorted(operation["responses"].items())
        ],
        "curl": _curl(path, method.upper(), has_body=body is not None),
    }


def _schema_of(answer: Json) -> str | None:
    for content in answer.get("content", {}).values():
        return schema_name(content.get("schema", {}))
    return None


def _curl(path: str, method: str, *, has_body: bool) -> str:
    verb = "" if method == "GET" else f" -X {method}"
    body = " -H 'Content-Type: application/json' -d '{…}'" if has_body else ""
    return f'curl{verb} -H "Authorization: Bearer $TOKEN"{body} "$RATCHET_API_URL{path}"'
