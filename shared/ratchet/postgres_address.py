"""A Postgres address as a managed database gives it, taken apart once: it means the same to every connection of ours.

The forms are those of libpq: `postgresql://user:password@host1:5432,host2:5433/database?sslmode=require`. What we
cannot honour is refused by its name rather than left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

SCHEMES = ("postgresql://", "postgres://", "postgresql+asyncpg://")
DEFAULT_PORT = 5432
SYSTEM_CERTIFICATES = "system"

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sslmode": _MODES,
        "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
        "sslnegotiation": ("postgres", "direct"),
        "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
        "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
        "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
        # The driver has none of these: only the words that ask for nothing will do.
        "channel_binding": ("disable", "prefer"),
        "gssencmode": ("disable", "prefer"),
        "load_balance_hosts": ("disable",),
    }
)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_PLACE = ("host", "port", "dbname", "user", "password")
_OTHER = ("application_name", "fallback_application_name", "connect_timeout", "options", "sslpassword")
KNOWN = (*_CHOICES, *_FILES, *_PLACE, *_OTHER)

_OF_TLS = ("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation")
_OF_DRIVER = (*_OF_TLS, "ssl_min_protocol_version", "ssl_max_protocol_version")


class WrongAddress(ValueError):
    """The address cannot be used; the message says what is wrong with it, and holds no password."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a database is, and how to connect to it. `hosts` are tried in order; a path is the folder of a socket."""

    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """The address without anything secret, for people."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{hosts or 'localhost'}/{self.database or self.user or ''}"

    @property
    def application_name(self) -> str | None:
        """The name that the address asks for; ours is the fallback."""
        return self.parameters.get("application_name")

    @property
    def target_session_attrs(self) -> str:
        """Which of the hosts will do."""
        return self.parameters.get("target_session_attrs", "any")

    @property
    def connect_seconds(self) -> int | None:
        """How long to wait for each host; None: as long as we see fit."""
        return int(self.parameters.get("connect_timeout", "0")) or None

    def driver_arguments(self) -> dict[str, Any]:
        """What asyncpg needs besides host and port. It reads the settings of TLS from an address only."""
        chosen = {name: self.parameters[name] for name in _OF_DRIVER if name in self.parameters}
        arguments: dict[str, Any] = {"user": self.user, "password": self.password, "database": self.database}
        if chosen.get("sslrootcert") == SYSTEM_CERTIFICATES:
            arguments["ssl"] = True
            chosen = {}
        if "passfile" in self.parameters:
            arguments["passfile"] = self.parameters["passfile"]
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in chosen.items())
        return {"dsn": f"postgresql://?{query}" if query else None, **arguments}

    def session_settings(self) -> dict[str, str]:
        """What the address asks of the session."""
        return {"options": self.parameters["options"]} if "options" in self.parameters else {}


def parse_address(text: str) -> PostgresAddress:
    """Take an address apart.

    Raises:
        WrongAddress: saying what is wrong, by name.
    """
    scheme = next((scheme for scheme in SCHEMES if text.startswith(scheme)), None)
    if scheme is None:
        raise WrongAddress("must begin with postgresql://")
    body, _, query = text.removeprefix(scheme).partition("?")
    authority, _, path = body.partition("/")
    login, at, hosts = authority.rpartition("@")
    if "@" in login:
        raise WrongAddress("has more than one @ before the host: write an @ in the password as %40")
    if not at and ":" in hosts and "@" in query:
        raise WrongAddress("has its @ behind a ?: write a ? in the password as %3F")
    user, _, password = login.partition(":")
    parameters = _parameters(query)
    place = {
        "user": _decoded(user) if at else "",
        "password": _decoded(password) if at else "",
        "dbname": _decoded(path),
    }
    found = {name: value or parameters.get(name, "") for name, value in place.items()}
    return PostgresAddress(
        hosts=_hosts(hosts, parameters),
        user=found["user"] or None,
        password=found["password"] or None,
        database=found["dbname"] or None,
        parameters=MappingProxyType({name: value for name, value in parameters.items() if name not in _PLACE}),
    )


def require_files(address: PostgresAddress) -> None:
    """Raises WrongAddress where the address names a file that is not there."""
    for name in _FILES:
        path = address.parameters.get(name)
        if path and not (name == "sslrootcert" and path == SYSTEM_CERTIFICATES) and not Path(path).is_file():
            raise WrongAddress(f"{name} names a file that is not there")


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        # The words of SQLAlchemy's dialect for the same things.
        name = {"ssl": "sslmode", "database": "dbname"}.get(_decoded(name), _decoded(name))
        value = _decoded(value)
        if name == "sslmode":
            value = {"true": "require", "false": "disable"}.get(value.lower(), value)
        if not equals:
            raise WrongAddress(f"has the parameter {_named(name)} without a value")
        if name not in KNOWN:
            raise WrongAddress(f"has the unknown parameter {_named(name)}; known are {', '.join(sorted(KNOWN))}")
        if name in found:
            raise WrongAddress(f"has the parameter {name} twice")
        _require_usable(name, value)
        found[name] = value
    if found.get("sslrootcert") == SYSTEM_CERTIFICATES and found.get("sslmode", "verify-full") != "verify-full":
        raise WrongAddress("has sslrootcert=system, which goes with sslmode=verify-full only")
    return found


def _require_usable(name: str, value: str) -> None:
    choices = _CHOICES.get(name)
    if choices is not None and value not in choices:
        raise WrongAddress(f"has a {name} that is none of {', '.join(choices)}")
    if name == "connect_timeout" and not (value.isascii() and value.isdigit() and len(value) < 7):
        raise WrongAddress("has a connect_timeout that is no number of seconds")


def _named(name: str) -> str:
    # An unknown name may be the rest of a password with a ? or & in it.
    return name if name.isidentifier() and len(name) <= 40 else "(its name is no word: is a ? or & in the password?)"


def _hosts(text: str, parameters: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    names = [_host(part) for part in text.split(",")] if text else []
    if not names and parameters.get("host"):
        names = [(host, "") for host in parameters["host"].split(",")]
    ports = parameters.get("port", "").split(",")
    if len(ports) not in {1, max(len(names), 1)}:
        raise WrongAddress("has another number of ports than of hosts")
    if not names and any(ports):
        names = [("localhost", "")]
    ports = ports * len(names) if len(ports) == 1 else ports
    return tuple((host, _port(own or given)) for (host, own), given in zip(names, ports, strict=False))


def _host(part: str) -> tuple[str, str]:
    if part.startswith("["):
        host, bracket, port = part[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise WrongAddress("has an IPv6 address that is not written as [::1]:5432")
        return host, port[1:]
    host, _, port = part.partition(":")
    if ":" in port:
        raise WrongAddress("has an IPv6 address without brackets, or a : / ? @ in the password that is not %-encoded")
    return _decoded(host) or "localhost", port


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:6]) < 65536:
        raise WrongAddress(
            "has a port that is no number from 1 to 65535 (a : / ? or @ in the password has to be %-encoded)"
        )
    return int(text)


def _decoded(text: str) -> str:
    decoded = unquote(text, errors="replace")
    if "\x00" in decoded or "\ufffd" in decoded:
        raise WrongAddress("has a %-code that is no UTF-8 text")
    return decoded
