"""Whether what a step raised may pass by itself: judged by what the error means, for any library.

Most errors carry their meaning with them: an errno, an SQLSTATE, an HTTP or gRPC status, a flag of their own, or
another error that they wrap. Names of classes decide only where nothing else does. Whatever is read from a foreign
error may raise, and counts as missing then.
"""

import errno
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from ratchet.domain.error_text import read, text_of
from ratchet.domain.errors import PermanentError, TransientError, wait_of
from ratchet.domain.trouble import sqlstate_of

_DEPTH = 12

TRANSIENT_ERRNO = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ESHUTDOWN,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.EAGAIN,
        errno.EINTR,
        errno.ENOBUFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.EADDRNOTAVAIL,
    }
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest prefix counts.
_SQLSTATES = {
    "08": True,
    "08P01": False,  # a protocol violation is a defect
    "25006": True,  # read-only, as a demoted server is
    "40": True,
    "40002": False,  # an integrity constraint
    "53": True,
    "55P03": True,  # a lock that was not to be had in time
    "57": True,
}

_GRPC = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})

# Errors of the AWS services, by their word: https://docs.aws.amazon.com/general/latest/gr/api-retries.html
_AWS = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

# Connections, time-outs, locks and deadlocks of MySQL and MariaDB, server (1xxx) and client (2xxx).
_MYSQL = frozenset({1040, 1053, 1077, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1836, 2002, 2003, 2006, 2013, 2055})
_SQLITE_BUSY = frozenset({5, 6})

_FLAGS = ("retryable", "retriable", "is_retryable", "is_retriable", "is_transient", "transient")

_CERTIFICATE = frozenset({"ssl.SSLCertVerificationError", "aiohttp.client_exceptions.ClientConnectorCertificateError"})
_BROKEN_TLS = frozenset({"ssl.SSLEOFError", "ssl.SSLZeroReturnError", "ssl.SSLSyscallError"})

# Where an error says nothing but its name. A class stands for all that derive from it, and the most special one counts.
_NAMES = {
    "aiohttp.client_exceptions.ClientConnectionError": True,
    "aiohttp.client_exceptions.ClientPayloadError": True,
    "aiormq.exceptions.AMQPConnectionError": True,
    "aiormq.exceptions.AuthenticationError": False,
    "aiormq.exceptions.ChannelInvalidStateError": True,
    "asyncio.exceptions.CancelledError": True,  # nobody cancelled the step: a library gave up what it waited for
    "asyncio.exceptions.IncompleteReadError": True,
    "asyncpg.exceptions._base.InterfaceError": True,
    "asyncpg.exceptions._base.InternalClientError": True,
    "botocore.exceptions.ConnectionError": True,
    "botocore.exceptions.HTTPClientError": True,
    "http.client.BadStatusLine": True,
    "http.client.IncompleteRead": True,
    "httpcore.NetworkError": True,
    "httpcore.ProtocolError": True,
    "httpcore.TimeoutException": True,
    "httpcore2.NetworkError": True,
    "httpcore2.ProtocolError": True,
    "httpcore2.TimeoutException": True,
    "httpx.TransportError": True,
    "httpx.UnsupportedProtocol": False,
    "httpx2.TransportError": True,
    "httpx2.UnsupportedProtocol": False,
    "psycopg.OperationalError": True,
    "psycopg2.OperationalError": True,
    "pymongo.errors.AutoReconnect": True,
    "redis.exceptions.AuthenticationError": False,
    "redis.exceptions.AuthorizationError": False,
    "redis.exceptions.ClusterDownError": True,
    "redis.exceptions.ConnectionError": True,
    "redis.exceptions.MasterDownError": True,
    "redis.exceptions.ReadOnlyError": True,
    "redis.exceptions.SlotNotCoveredError": True,
    "redis.exceptions.TimeoutError": True,
    "redis.exceptions.TryAgainError": True,
    "requests.exceptions.ChunkedEncodingError": True,
    "requests.exceptions.ConnectionError": True,
    "requests.exceptions.Timeout": True,
    "socket.gaierror": True,
    "socket.herror": True,
    "sqlalchemy.exc.InterfaceError": True,
    "sqlalchemy.exc.OperationalError": True,
    "sqlalchemy.exc.TimeoutError": True,
    "urllib3.exceptions.HTTPError": True,
    "urllib3.exceptions.LocationParseError": False,
    "websockets.exceptions.ConnectionClosed": True,
}

_ERRNO_IN_TEXT = re.compile(r"\[Errno (-?\d{1,4})\]")


def is_transient(error: BaseException, *, retry_on: tuple[type[BaseException], ...] = ()) -> bool:
    """Whether trying again may help.

    `PermanentError` never, `TransientError` and what `retry_on` names always. Else the outermost error that means
    something decides: the one raised, then what it wraps or was raised from. A group is transient if all of it is.
    """
    if isinstance(error, PermanentError):
        return False
    if isinstance(error, (TransientError, *retry_on)):
        return True
    links = list(_links(error))
    # A certificate that is not accepted is wrapped in errors that look like a lost connection.
    if any(_CERTIFICATE & _names(link) for link in links):
        return False
    if any(isinstance(link, retry_on) for link in links):
        return True
    for judge in (partial(_by_meaning, retry_on=retry_on), _by_name):
        found = next((verdict for link in links if (verdict := judge(link)) is not None), None)
        if found is not None:
            return found
    return False


def is_transient_status(status: int) -> bool:
    """Whether an HTTP status tells of a passing trouble: 5xx, 408 (time-out), 425 (too early), 429 (too many)."""
    return status >= 500 or status in {408, 425, 429}


def longest_wait(error: BaseException) -> timedelta | None:
    """The longest wait that the error, a member of its group, or what it was raised from asks for."""
    waits = [wait_of(read(link, "retry_after")) for link in _links(error) if isinstance(link, TransientError)]
    if isinstance(error, BaseExceptionGroup):
        waits += [longest_wait(member) for member in error.exceptions]
    return max((wait for wait in waits if wait is not None), default=None)


def _links(error: BaseException) -> Iterator[BaseException]:
    """The error, what it wraps, and what it was raised from: each once, not too deep."""
    seen, waiting = set[int](), [error]
    while waiting and len(seen) < _DEPTH:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        # SQLAlchemy, urllib and urllib3, aiohttp; requests keeps it among its arguments.
        inner = [read(link, name) for name in ("orig", "reason", "os_error", "__cause__")]
        arguments = read(link, "args")
        inner += arguments if isinstance(arguments, tuple) else ()
        waiting += [item for item in inner if isinstance(item, BaseException)]


def _by_meaning(error: BaseException, *, retry_on: tuple[type[BaseException], ...]) -> bool | None:
    if isinstance(error, PermanentError):
        return False
    if isinstance(error, TransientError):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(member, retry_on=retry_on) for member in error.exceptions)
    answers = (judge(error) for judge in _JUDGES)
    return next((answer for answer in answers if answer is not None), None)


def _by_flag(error: BaseException) -> bool | None:
    return next((flag for name in _FLAGS if isinstance(flag := read(error, name), bool)), None)


def _by_sqlstate(error: BaseException) -> bool | None:
    try:
        state = sqlstate_of(error)
    except Exception:  # foreign code
        return None
    if state is None:
        return None
    return next((_SQLSTATES[state[:length]] for length in (5, 2) if state[:length] in _SQLSTATES), False)


def _by_grpc(error: BaseException) -> bool | None:
    code = read(error, "code")
    if not callable(code):
        return None
    try:
        name = code().name
    except Exception:  # foreign code
        return None
    return name in _GRPC if isinstance(name, str) and name.isupper() else None


def _by_aws(error: BaseException) -> bool | None:
    response = read(error, "response")
    if not isinstance(response, dict):
        return None
    told, about = response.get("Error"), response.get("ResponseMetadata")
    if isinstance(told, dict) and told.get("Code") in _AWS:
        return True
    return _judged_status(about.get("HTTPStatusCode") if isinstance(about, dict) else None)


def _by_status(error: BaseException) -> bool | None:
    if isinstance(error, SystemExit):
        return None
    response = read(error, "response")
    for holder in (response, error):
        for name in ("status_code", "status", "code"):
            judged = None if holder is None else _judged_status(read(holder, name))
            if judged is not None:
                return judged
    return None


def _judged_status(value: Any) -> bool | None:
    is_status = isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599
    return is_transient_status(value) if is_status else None


def _by_number(error: BaseException) -> bool | None:
    """Database drivers that have numbers of their own instead of an SQLSTATE."""
    names = _names(error)
    if names & {"pymysql.err.MySQLError", "MySQLdb._exceptions.MySQLError", "mysql.connector.errors.Error"}:
        number = read(error, "errno")
        arguments = read(error, "args")
        if not isinstance(number, int) and isinstance(arguments, tuple) and arguments:
            number = arguments[0]
        return number in _MYSQL if isinstance(number, int) else None
    if "sqlite3.Error" in names:
        code = read(error, "sqlite_errorcode")
        return code & 0xFF in _SQLITE_BUSY if isinstance(code, int) else None
    return None


def _by_system(error: BaseException) -> bool | None:
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    names = _names(error)
    if names & _BROKEN_TLS:
        return True
    if "ssl.SSLError" in names:
        return "EOF" in str(read(error, "reason") or "")
    if not isinstance(error, OSError) or "socket.gaierror" in names:
        return None
    number = read(error, "errno")
    if isinstance(number, int):
        return number in TRANSIENT_ERRNO
    # asyncio tells several failed addresses in one error without a number.
    told = _ERRNO_IN_TEXT.findall(text_of(error))
    return all(int(number) in TRANSIENT_ERRNO for number in told) if told else None


_JUDGES = (_by_flag, _by_sqlstate, _by_grpc, _by_aws, _by_status, _by_number, _by_system)


def _by_name(error: BaseException) -> bool | None:
    for kind in type(error).__mro__:
        # httpx and its heirs define their errors in a private module but are known by the public name.
        module = str(kind.__module__).removesuffix("._exceptions")
        found = _NAMES.get(f"{module}.{kind.__qualname__}")
        if found is not None:
            return found
    return None


def _names(error: BaseException) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
