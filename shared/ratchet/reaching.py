"""Why a server cannot be used, in one line: which setting names it, what it says, and what to do about it."""

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from ratchet.domain.errors import CannotStart, InvalidSettings
from ratchet.domain.failure import sanitise
from ratchet.domain.masking import mask_secrets
from ratchet.postgres_address import WrongAddress, parse_address


class Server(Enum):
    """What every service needs; the values are for people: its name, its setting, and how that is written."""

    POSTGRES = ("Postgres", "RATCHET_DATABASE_URL", "postgresql://user:password@host:port/database")
    RABBITMQ = ("RabbitMQ", "RATCHET_AMQP_URL", "amqp://user:password@host:port/vhost")
    REDIS = ("Redis", "RATCHET_REDIS_URL", "redis://host:port")

    @property
    def title(self) -> str:
        """Its name."""
        return self.value[0]

    @property
    def setting(self) -> str:
        """The variable with its address."""
        return self.value[1]

    @property
    def form(self) -> str:
        """How its address is written."""
        return self.value[2]


class Reason(NamedTuple):
    """What is wrong, as the end of a sentence about the server, and what to do."""

    found: str
    advice: str


def reason_of(server: Server, error: BaseException) -> Reason:
    """What an error of connecting means. By what errors say of themselves, so that every library's are understood."""
    for item in _chain(error):
        reason = _by_code(server, item) or _by_kind(server, item) or _by_words(server, item)
        if reason is not None:
            return reason
    said = sanitise(mask_secrets(f"{type(error).__name__}: {error}"))
    return Reason(f"cannot be used: {said}", f"Is it running, and is {server.setting} right ({server.form})?")


@contextmanager
def reaching(server: Server, url: str) -> Iterator[None]:
    """Turns whatever fails inside into `CannotStart` with one line about it."""
    try:
        yield
    except (CannotStart, InvalidSettings):
        raise
    except Exception as error:
        found, advice = reason_of(server, error)
        text = f"{server.setting}: {server.title} at {place_of(server, url)} {found}. {advice}"
        raise CannotStart(text) from error


def place_of(server: Server, url: str) -> str:
    """The address without anything secret."""
    try:
        if server is Server.POSTGRES:
            return parse_address(url).place
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname or ''}{port}{parts.path}" or "its address"
    except (ValueError, WrongAddress):
        return "its address"


def _by_code(server: Server, error: BaseException) -> Reason | None:
    code = str(getattr(error, "sqlstate", None) or "")
    if code.startswith("28"):
        return _login(server, error)
    if code == "3D000":
        return Reason("has no such database", f"Create it, or correct its name at the end of {server.setting}")
    if code == "57P03":
        return Reason("is starting or stopping", "Try again in a moment")
    if code == "53300":
        return Reason("takes no more connections", "Raise its max_connections, or end what else is connected")
    return None


def _by_kind(server: Server, error: BaseException) -> Reason | None:
    if isinstance(error, socket.gaierror):
        return Reason("cannot be found: its host name is not known", f"Correct the host in {server.setting}")
    if isinstance(error, ssl.SSLError):
        return _tls(server, error)
    if isinstance(error, OSError) and (error.errno == errno.ECONNREFUSED or "Connect call failed" in str(error)):
        return Reason("is not there: nothing listens", f"Is it running? Correct host and port in {server.setting}")
    if isinstance(error, TimeoutError):
        return Reason("does not answer", f"Is it running, and may this machine reach it? Check {server.setting}")
    return None


def _by_words(server: Server, error: BaseException) -> Reason | None:
    name, text = type(error).__name__, str(error)
    if name == "TargetServerAttributeNotMatched":
        return Reason("has no host that will do for target_session_attrs", "Is the primary among the hosts?")
    if "Authentication" in name or any(word in text for word in ("ACCESS_REFUSED", "WRONGPASS", "NOAUTH")):
        return _login(server, error)
    if server is Server.RABBITMQ and ("NOT_ALLOWED" in text or "vhost" in text or name == "ConnectionNotAllowed"):
        advice = f"Create the vhost that {server.setting} ends in, and let the user in (rabbitmqctl set_permissions)"
        return Reason("refuses the vhost: it is not there, or the user has no right to it", advice)
    if "SSL" in text:
        return _tls(server, error)
    return None


def _login(server: Server, error: BaseException) -> Reason:
    said = sanitise(mask_secrets(str(error)))
    return Reason(f"refuses the login ({said})", f"Correct user and password in {server.setting}")


def _tls(server: Server, error: BaseException) -> Reason:
    how = {Server.POSTGRES: "sslmode", Server.RABBITMQ: "amqp:// or amqps://", Server.REDIS: "redis:// or rediss://"}
    said = sanitise(mask_secrets(str(error)))
    return Reason(f"and this side do not agree on TLS ({said})", f"Correct {how[server]} in {server.setting}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop(0)
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        if isinstance(item, BaseExceptionGroup):
            waiting.extend(item.exceptions)
        waiting += [item.__cause__, item.__context__]
