"""The outermost layer of a request: its correlation id, its figures, its log line, and no error that escapes."""

import time
import uuid
from contextvars import ContextVar

import structlog
from ratchet.domain.trouble import trouble_of
from ratchet.messages.envelope import accepted_correlation_id
from ratchet.observability.metrics import AdminMetrics
from ratchet.problem_documents import CORRELATION_HEADER
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin_api.headers import protect
from admin_api.problems import Problem, ProblemType, respond

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

_SLOW_SECONDS = 1.0

_refreshing: ContextVar[bool] = ContextVar("refreshing", default=False)
"""Whether an open page is bringing itself up to date, which it does every few seconds and with questions to the API."""

log = structlog.get_logger()


class Observe:
    """Gives each request its id and answers whatever goes wrong inside with a problem that tells nothing about it."""

    def __init__(self, app: ASGIApp, metrics: AdminMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = accepted_correlation_id(Headers(scope=scope).get(CORRELATION_HEADER), str(uuid.uuid4()))
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        began, status = time.perf_counter(), 0
        mark = _refreshing.set(_refreshing.get() or _is_refresh(scope))

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[CORRELATION_HEADER] = correlation_id
                protect(headers, encrypted=scope["scheme"] == "https")
            await send(message)

        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            try:
                await self._app(scope, receive, marked)
            except Exception as error:  # the last place where an error can still become an answer
                problem = self._problem_of(error)
                if status:  # half an answer is out: only cutting the connection tells the client so
                    raise
                await respond(problem, correlation_id)(scope, receive, marked)
            finally:
                self._record(scope, status, time.perf_counter() - began)
                _refreshing.reset(mark)

    def _problem_of(self, error: Exception) -> Problem:
        if isinstance(error, Problem):
            return error
        trouble = trouble_of(error)
        if trouble.is_outage:
            log.warning("http.server_unavailable", error=f"{type(error).__name__}: {error}", trouble=trouble.value)
            return Problem(
                ProblemType.UNAVAILABLE,
                "A server that this needs is away or busy. Try again, with the same Idempotency-Key if it was a POST.",
                headers={"Retry-After": "2"},
            )
        log.error("http.failed", exc_info=error)
        return Problem(ProblemType.INTERNAL, "This is our fault, not yours. Name the correlationId when you report it.")

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        if scope["path"] in _PROBES:
            return
        route = str(getattr(scope.get("route"), "path", "none"))
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method=method, route=route, status=str(status)).inc()
        self._metrics.seconds.labels(method=method, route=route).observe(seconds)
        # A page that only stays open says nothing, unless something is wrong.
        is_news = not _refreshing.get() or status >= 400 or seconds > _SLOW_SECONDS
        tell = log.info if is_news else log.debug
        tell("http.answered", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _is_refresh(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "GET" and (path.startswith("/live/") or path.endswith("/live"))
