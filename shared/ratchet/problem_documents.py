"""Errors over HTTP as RFC 9457 problem documents: one form for every service."""

import uuid
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from ratchet.messages.envelope import accepted_correlation_id

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ratchet:problem:"
CORRELATION_HEADER = "X-Correlation-ID"

log = structlog.get_logger()


def problem_document(*, slug: str, title: str, status: int, detail: str, correlation_id: str) -> dict[str, Any]:
    """A problem's members. `slug` is stable and the end of `type`; `detail` says what is wrong and what to do next."""
    return {
        "type": TYPE_PREFIX + slug,
        "title": title,
        "status": status,
        "detail": detail,
        "correlationId": correlation_id,
    }


def correlation_id_of(connection: HTTPConnection) -> str:
    """The one that the caller sent, if it is a clean one, else a new one; the same however often it is asked for."""
    state = connection.scope.setdefault("state", {})
    if "correlation_id" not in state:
        offered = connection.headers.get(CORRELATION_HEADER)
        state["correlation_id"] = accepted_correlation_id(offered, str(uuid.uuid4()))
    return str(state["correlation_id"])


async def on_framework_exception(request: Request, error: Exception) -> Response:
    """A handler for what the framework itself refuses (no such route, no such method): it becomes a problem."""
    if not isinstance(error, HTTPException):  # cannot happen: it is registered for exactly these
        raise error
    correlation_id = correlation_id_of(request)
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            slug, detail = "not-found", "There is no such route here."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            slug, detail = "method-not-allowed", f"Use one of: {(error.headers or {}).get('Allow', '')}."
        case _:
            slug, detail = "invalid-request", str(error.detail)
    document = problem_document(
        slug=slug,
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=detail,
        correlation_id=correlation_id,
    )
    headers = {**(error.headers or {}), CORRELATION_HEADER: correlation_id}
    return JSONResponse(document, error.status_code, headers, media_type=MEDIA_TYPE)


async def on_own_failure(request: Request, _error: Exception) -> Response:
    """A handler for everything else: the server logs the error, the caller gets an id to name."""
    correlation_id = correlation_id_of(request)
    log.error("http.failed", correlation_id=correlation_id)
    document = problem_document(
        slug="internal",
        title="Something went wrong here",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="This is our fault, not yours. Name the correlationId when you report it.",
        correlation_id=correlation_id,
    )
    headers = {CORRELATION_HEADER: correlation_id}
    return JSONResponse(document, HTTPStatus.INTERNAL_SERVER_ERROR, headers, media_type=MEDIA_TYPE)
