"""Errors as RFC 9457 problem details: a closed set of types, and nothing in them that the caller should not see."""

from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from ratchet.problem_documents import MEDIA_TYPE, TYPE_PREFIX, problem_document
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path


class ProblemType(Enum):
    """Every kind of problem: slug (stable, the end of `type`), HTTP status, title."""

    UNAUTHENTICATED = ("unauthenticated", 401, "A valid bearer token is needed")
    FORBIDDEN = ("forbidden", 403, "Not allowed")
    NOT_FOUND = ("not-found", 404, "Nothing here")
    UNKNOWN_WORKFLOW = ("unknown-workflow", 404, "No such workflow")
    UNKNOWN_RECOVERY = ("unknown-recovery", 404, "No such recovery")
    UNKNOWN_CHECKPOINT = ("unknown-checkpoint", 404, "No such checkpoint")
    UNKNOWN_GROUP = ("unknown-group", 404, "No such failure group")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "Method not allowed")
    MALFORMED_BODY = ("malformed-body", 400, "The body is not JSON")
    INVALID_CURSOR = ("invalid-cursor", 400, "The cursor is not one of ours")
    INVALID_IDEMPOTENCY_KEY = ("invalid-idempotency-key", 400, "The Idempotency-Key is malformed")
    WRONG_STATUS = ("wrong-status", 409, "The workflow's status does not allow this")
    STEP_NOT_OPTIONAL = ("step-not-optional", 409, "The step cannot be skipped")
    DEFINITION_CHANGED = ("definition-changed", 409, "The definition has changed since")
    NO_EXECUTOR = ("no-executor", 409, "No executor can run the workflow now")
    FAILURE_CHANGED = ("failure-changed", 409, "It is not what was seen any more")
    SELECTION_CHANGED = ("selection-changed", 409, "Another number of workflows is meant by now")
    ALREADY_SETTLED = ("already-settled", 409, "It is settled already")
    NOT_REPLAYABLE = ("not-replayable", 409, "The message cannot be sent again")
    WORKFLOW_EXISTS = ("workflow-exists", 409, "The workflow id is taken")
    REQUEST_IN_PROGRESS = ("request-in-progress", 409, "The same request is being worked on")
    TOO_LARGE = ("too-large", 413, "The body is too large")
    TOO_MANY_REQUESTS = ("too-many-requests", 429, "Too many requests")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body must be JSON")
    INVALID_REQUEST = ("invalid-request", 422, "The request is not valid")
    UNKNOWN_DEFINITION = ("unknown-definition", 422, "No such workflow definition")
    DAMAGED_CHECKPOINT = ("damaged-checkpoint", 422, "The checkpoint is damaged")
    IDEMPOTENCY_KEY_REUSED = ("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request")
    RECOVERY_FAILED = ("recovery-failed", 500, "The recovery failed")
    INTERNAL = ("internal", 500, "Something went wrong here")
    UNAVAILABLE = ("unavailable", 503, "A server is not reachable at the moment")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


class Problem(HTTPException):
    """Raise it to answer with a problem; `extensions` become further members of the document."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, dict(headers or {}))
        self.kind = kind
        self.extensions = dict(extensions or {})

    def document(self, correlation_id: str) -> dict[str, Any]:
        """The JSON document."""
        return document(self.kind, self.detail, correlation_id) | self.extensions


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": True})

    type: str = Field(description="Stable name of the kind of problem.", examples=[TYPE_PREFIX + "wrong-status"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status, repeated.")
    detail: str = Field(description="What is wrong here, and what to do next.")
    correlationId: str = Field(description="Find it in the logs by this id.")  # noqa: N815  # as it is on the wire


def document(kind: ProblemType, detail: str, correlation_id: str, *, status: int | None = None) -> dict[str, Any]:
    """A problem's members; `status` only where a route's contract wants another than the kind's own."""
    return problem_document(
        slug=kind.slug,
        title=kind.title,
        status=kind.status if status is None else status,
        detail=detail,
        correlation_id=correlation_id,
    )


def respond(problem: Problem, correlation_id: str) -> Response:
    """The problem as a response."""
    return JSONResponse(
        problem.document(correlation_id), problem.status_code, headers=problem.headers, media_type=MEDIA_TYPE
    )


def correlation_of(request: Request) -> str:
    """The id that binds request, logs, messages and answer together."""
    return str(request.state.correlation_id)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Problems as they are; what the framework raises becomes one."""
    if not isinstance(error, HTTPException):  # cannot happen: it is registered for exactly these
        raise error
    problem = error if isinstance(error, Problem) else _of_framework(error, request)
    return respond(problem, correlation_of(request))


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """What is wrong where, without echoing any of the input."""
    if not isinstance(error, RequestValidationError):  # cannot happen: it is registered for exactly these
        raise error
    mistakes = error.errors()
    if all(mistake["loc"][0] == "path" for mistake in mistakes):
        # What cannot be an id names nothing: the same answer as for one that was never given.
        problem = Problem(ProblemType.NOT_FOUND, "Nothing has this id. Workflow ids are UUIDs.")
    else:
        problem = invalid(mistakes)
    return respond(problem, correlation_of(request))


def invalid(errors: Sequence[Any]) -> Problem:
    """A 422 that lists each mistake by place and message."""
    mistakes = [
        {"in": str(item["loc"][0]), "field": ".".join(map(str, item["loc"][1:])), "message": str(item["msg"])[:300]}
        for item in errors
    ]
    shown = "; ".join(f"{item['field'] or item['in']}: {item['message']}" for item in mistakes)
    return Problem(ProblemType.INVALID_REQUEST, shown[:500], extensions={"errors": mistakes[:50]})


def _of_framework(error: HTTPException, request: Request) -> Problem:
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return Problem(ProblemType.NOT_FOUND, "There is no such route; see /openapi.json for those that exist.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(sorted(_methods_of(request)))
            return Problem(ProblemType.METHOD_NOT_ALLOWED, f"Use one of: {allowed}.", headers={"Allow": allowed})
        case _:
            return Problem(ProblemType.MALFORMED_BODY, "The body could not be read; send one JSON object in UTF-8.")


def _methods_of(request: Request) -> set[str]:
    """The framework names those of one route only, and a path may have several."""
    path = request.scope["path"]
    return {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path is not None and route.methods and compile_path(route.path)[0].fullmatch(path)
        for method in route.methods
    }
