"""The OpenAPI document: problems as every error's schema, and the headers that all answers carry."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from ratchet.problem_documents import MEDIA_TYPE

from admin_api.problems import ProblemDetails

DESCRIPTION = (
    "Workflows: start them, see where they stand, and put them back on their feet.\n\n"
    "Errors are RFC 9457 problem details. `X-Correlation-ID` is taken if it is 1 to 128 of `A-Z a-z 0-9 . _ : -`, made "
    "otherwise, and always returned. Lists are paged: pass `nextCursor` as `cursor`. Instants are UTC."
)

TITLES = {
    400: "Bad request",
    401: "No valid token",
    403: "Not allowed",
    404: "Unknown",
    409: "Conflict with the present state",
    413: "Body too large",
    415: "Body is not JSON",
    422: "Invalid",
    429: "Too many requests; see `Retry-After`",
    500: "Recovery failed, or a fault here",
    503: "A server is away; try again",
}

ALWAYS = (401, 429, 500, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems, and with those that every route may give."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"description": TITLES[status], "content": {MEDIA_TYPE: schema}}
        for status in sorted({*statuses, *ALWAYS})
    }


POST_PROBLEMS = (400, 403, 409, 413, 415, 422)


def document_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """A replacement for `app.openapi`; the document is made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema

    return openapi


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title="Ratchet admin API",
        version=app.version,
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=app.routes,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    header = {"X-Correlation-ID": {"schema": {"type": "string"}, "description": "Find the request in the logs by it."}}
    for path in made["paths"].values():
        for operation in path.values():
            # The framework promises this wherever there is a parameter; what cannot be an id is a 404 here.
            if MEDIA_TYPE not in operation["responses"].get("422", {}).get("content", {MEDIA_TYPE: None}):
                del operation["responses"]["422"]
            for response in operation["responses"].values():
                response.setdefault("headers", {}).update(header)
    return made
