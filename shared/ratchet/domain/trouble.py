"""What an error says about whose fault it is: a server's, a deployment's, the content's; or nothing that is known.

Judged by what it means (SQLSTATE, errno, kind of error), not by a list of classes of one driver, so that what nobody
thought of is never taken for somebody's fault.
"""

import errno
import re
from collections.abc import Iterator
from enum import StrEnum

_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_DEPTH = 8


class Trouble(StrEnum):
    """Why something could not be done; a closed set, for metrics."""

    UNREACHABLE = "unreachable"
    """A server is away, or the connection to it broke."""
    BUSY = "busy"
    """A server answers and cannot do it now: no memory, disk or locks, a deadlock, a statement that took too long."""
    READ_ONLY = "read-only"
    """A database that takes no writes, as one that was demoted."""
    REFUSED = "refused"
    """A server refuses this user: a rotated password, a missing right."""
    UNFIT = "unfit"
    """What is there is not what this program expects: a missing table or column, a session that is not kept."""
    CONTENT = "content"
    """A server refuses the data themselves."""
    UNKNOWN = "unknown"
    """Anything else, a defect of this program for one."""

    @property
    def is_outage(self) -> bool:
        """Whether nothing that was sent can be at fault."""
        return self not in _OWN


_OWN = frozenset({Trouble.CONTENT, Trouble.UNKNOWN})

# The longest prefix of an SQLSTATE counts. https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_SQLSTATE = {
    "08": Trouble.UNREACHABLE,
    "0A000": Trouble.UNFIT,  # "cached plan must not change result type", after a migration
    "22": Trouble.CONTENT,
    "25": Trouble.BUSY,
    "25006": Trouble.READ_ONLY,
    "26": Trouble.UNFIT,  # a pooler that gives each statement another session
    "28": Trouble.REFUSED,
    "3D": Trouble.UNFIT,
    "3F": Trouble.UNFIT,
    "40": Trouble.BUSY,
    "42": Trouble.UNFIT,
    "42501": Trouble.REFUSED,
    "53": Trouble.BUSY,
    "54": Trouble.CONTENT,
    "55": Trouble.BUSY,
    "57": Trouble.UNREACHABLE,
    "57014": Trouble.BUSY,
    "58": Trouble.BUSY,
    "F0": Trouble.UNFIT,
    "HV": Trouble.UNREACHABLE,
}

# Named rather than imported: the core depends on no library.
_BY_NAME = {
    "asyncpg.exceptions._base.DataError": Trouble.CONTENT,
    "asyncpg.exceptions._base.InterfaceError": Trouble.UNREACHABLE,
    "asyncpg.exceptions._base.InternalClientError": Trouble.UNREACHABLE,
    "aiormq.exceptions.AMQPError": Trouble.UNREACHABLE,
    "aiormq.exceptions.AuthenticationError": Trouble.REFUSED,
    "aiormq.exceptions.ChannelAccessRefused": Trouble.REFUSED,
    "aiormq.exceptions.ChannelInvalidStateError": Trouble.UNREACHABLE,
    "aiormq.exceptions.ChannelNotFoundEntity": Trouble.UNFIT,
    "aiormq.exceptions.ChannelPreconditionFailed": Trouble.UNFIT,
    "redis.exceptions.AuthenticationError": Trouble.REFUSED,
    "redis.exceptions.ReadOnlyError": Trouble.READ_ONLY,
    "redis.exceptions.RedisError": Trouble.UNREACHABLE,
    "sqlalchemy.exc.InterfaceError": Trouble.UNREACHABLE,
    "sqlalchemy.exc.OperationalError": Trouble.UNREACHABLE,
    "sqlalchemy.exc.TimeoutError": Trouble.BUSY,
}

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def trouble_of(error: BaseException) -> Trouble:
    """What an error means, by itself or by what it wraps or was caused by; a group is what all of its members are."""
    for depth, link in enumerate(_links(error)):
        if depth >= _DEPTH:
            break
        found = _by_itself(link)
        if found is not Trouble.UNKNOWN:
            return found
    return Trouble.UNKNOWN


def is_outage(error: BaseException) -> bool:
    """Whether the error says that a server is away, busy, read-only, closed to us or not what it should be."""
    return trouble_of(error).is_outage


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE that an error of any driver carries."""
    for name in ("sqlstate", "pgcode"):
        state = getattr(error, name, None)
        if isinstance(state, str) and _SQLSTATE.fullmatch(state):
            return state
    return None


def by_sqlstate(state: str) -> Trouble:
    """What an SQLSTATE means."""
    return next((_BY_SQLSTATE[state[:length]] for length in (5, 2) if state[:length] in _BY_SQLSTATE), Trouble.UNKNOWN)


def _by_itself(error: BaseException) -> Trouble:
    state = sqlstate_of(error)
    if state is not None:
        return by_sqlstate(state)
    members = _members(error)
    if members:
        return _worst({trouble_of(member) for member in members})
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    named = next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    if named is not None:
        return named
    # Lost connections, time-outs and names that cannot be looked up are all of this kind.
    if isinstance(error, OSError):
        is_busy = isinstance(error, TimeoutError) or error.errno in _FULL
        return Trouble.BUSY if is_busy else Trouble.UNREACHABLE
    return Trouble.UNKNOWN


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """Of a group, or of an error that tells of several (as of messages that were not confirmed)."""
    found = error.exceptions if isinstance(error, BaseExceptionGroup) else getattr(error, "failures", ())
    return tuple(found) if isinstance(found, tuple | list) else ()


def _worst(kinds: set[Trouble]) -> Trouble:
    return next((kind for kind in (Trouble.UNKNOWN, Trouble.CONTENT, *Trouble) if kind in kinds), Trouble.UNKNOWN)


def _links(error: BaseException) -> Iterator[BaseException]:
    """The error, what a library wrapped in it, and what it was raised from."""
    seen = set[int]()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [
            inner for inner in (getattr(link, "orig", None), link.__cause__) if isinstance(inner, BaseException)
        ]
