"""Is a failure transient or permanent, and how is it told without giving secrets away."""

import re
from dataclasses import dataclass
from datetime import timedelta

from ratchet.domain.errors import PermanentError, TransientError
from ratchet.domain.workflow import FailureKind

MAX_REASON = 500

TRANSIENT_TYPES = (TransientError, TimeoutError, ConnectionError)

# Named rather than imported: the core depends on no library, and a workflow may use any of these or none.
TRANSIENT_TYPE_NAMES = frozenset(
    {
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiormq.exceptions.AMQPConnectionError",
        "asyncpg.exceptions.CannotConnectNowError",
        "asyncpg.exceptions.PostgresConnectionError",
        "asyncpg.exceptions.TooManyConnectionsError",
        "asyncpg.exceptions._base.InterfaceError",
        "botocore.exceptions.HTTPClientError",
        "grpc.RpcError",
        "httpx.TransportError",
        "httpx2.TransportError",
        "psycopg.OperationalError",
        "pymysql.err.OperationalError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "socket.gaierror",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.OperationalError",
        "sqlalchemy.exc.TimeoutError",
        "urllib3.exceptions.HTTPError",
    }
)

_TRANSIENT_HTTP = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, ready to be stored and shown: the reason is sanitised and at most 500 characters long."""

    kind: FailureKind
    error_class: str
    reason: str
    retry_after: timedelta | None = None

    @property
    def is_transient(self) -> bool:
        """Whether trying again may help."""
        return self.kind is FailureKind.TRANSIENT


def classify(error: BaseException, *, retry_on: tuple[type[BaseException], ...] = ()) -> Failure:
    """Turn what a step raised into a Failure; `retry_on` adds the step's own transient error types.

    Transient are timeouts, connection and transport errors, HTTP 5xx, 408 and 429, and `TransientError`; everything
    else, and `PermanentError`, is permanent.
    """
    transient = not isinstance(error, PermanentError) and (
        isinstance(error, TRANSIENT_TYPES + retry_on) or _has_transient_name(error) or _has_transient_status(error)
    )
    name = type(error).__name__
    text = str(error)
    return Failure(
        kind=FailureKind.TRANSIENT if transient else FailureKind.PERMANENT,
        error_class=name,
        reason=sanitise(f"{name}: {text}" if text else name),
        retry_after=getattr(error, "retry_after", None) if isinstance(error, TransientError) else None,
    )


def is_transient_status(status: int) -> bool:
    """Whether an HTTP status tells of a passing trouble."""
    return status >= 500 or status in _TRANSIENT_HTTP


def _has_transient_name(error: BaseException) -> bool:
    return any(_public_name(base) in TRANSIENT_TYPE_NAMES for base in type(error).__mro__)


def _public_name(kind: type) -> str:
    # httpx and its heirs define their errors in a private module but are known by the public name.
    return f"{kind.__module__.removesuffix('._exceptions')}.{kind.__qualname__}"


def _has_transient_status(error: BaseException) -> bool:
    holder = getattr(error, "response", error)
    for name in ("status_code", "status"):
        status = getattr(holder, name, None)
        if isinstance(status, int) and not isinstance(status, bool):
            return is_transient_status(status)
    return False


_SECRETS = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*@"), "***@"),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*"), "***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ***"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization))([\"']?\s*[=:]\s*)[^\s,;&]+"
        ),
        r"\1\2***",
    ),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def sanitise(text: str) -> str:
    """Text fit for storing and showing: no control characters, credentials or tokens, at most 500 characters."""
    text = mask_secrets(_CONTROL.sub(" ", text[: MAX_REASON * 8])).strip()
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"


def mask_secrets(text: str) -> str:
    """The text with passwords, tokens and keys replaced by stars."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
