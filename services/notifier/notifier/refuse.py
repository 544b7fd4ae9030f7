"""Refusals: what somebody is told who is not let in."""

from enum import StrEnum

import structlog
from ratchet.problem_documents import CORRELATION_HEADER, MEDIA_TYPE, correlation_id_of, problem_document
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

log = structlog.get_logger()


class Reason(StrEnum):
    """Why somebody is not let in: a closed set, for the metrics."""

    ORIGIN = "origin"
    TOKEN = "token"  # noqa: S105  # a word, no secret
    TICKET = "ticket"
    ROLE = "role"
    QUERY = "query"
    BODY = "body"
    PATH = "path"
    KEYS = "keys"
    REDIS = "redis"
    DATABASE = "database"
    FULL = "full"
    USER_LIMIT = "user-limit"
    STOPPING = "stopping"
    OURS = "ours"


_KINDS = {
    400: ("invalid-request", "The request is not valid"),
    401: ("unauthenticated", "A valid bearer token or ticket is needed"),
    403: ("forbidden", "Not allowed"),
    404: ("not-found", "Nothing here"),
    413: ("too-large", "The body is too large"),
    422: ("invalid-request", "The request is not valid"),
    429: ("too-many-requests", "Too many connections"),
    503: ("unavailable", "Not possible at the moment"),
}
"""The kind of problem by its status: the end of `type`, as the admin API names them, and the title."""


class Refused(Exception):
    """The connection is not opened; `status` is the HTTP status and `detail` says what to do next."""

    def __init__(self, status: int, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail

    @property
    def will_pass(self) -> bool:
        """Whether the same request may be let in a little later."""
        return self.status in (429, 503)

    def response(self, connection: HTTPConnection) -> JSONResponse:
        """The answer to the handshake, or to the request."""
        correlation_id = correlation_id_of(connection)
        headers = {"cache-control": "no-store", CORRELATION_HEADER: correlation_id}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        elif self.will_pass:
            headers["retry-after"] = "2"
        slug, title = _KINDS[self.status]
        problem = problem_document(
            slug=slug, title=title, status=self.status, detail=self.detail, correlation_id=correlation_id
        )
        log.info("connection.refused", reason=self.reason, status=self.status, correlation_id=correlation_id)
        return JSONResponse(problem, self.status, headers, media_type=MEDIA_TYPE)
