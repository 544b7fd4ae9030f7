"""Tokens for development, signed with the secret that the services of a local platform share."""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.jwk import OctKey

from ratchet.client.errors import NotConfigured

DEFAULT_ROLE = "admin"
DEFAULT_TTL = timedelta(hours=1)
RENEW_BEFORE = timedelta(minutes=1)

# The services take audience and issuer from these; a token without them would be refused.
_CLAIMS = {"aud": "RATCHET_JWT_AUDIENCE", "iss": "RATCHET_JWT_ISSUER"}


@dataclass(frozen=True, slots=True)
class DevelopmentToken:
    """A signed token and what it says."""

    token: str
    sub: str
    roles: tuple[str, ...]
    expires_at: datetime


def sign(
    environ: Mapping[str, str],
    sub: str,
    roles: Sequence[str],
    *,
    ttl: timedelta = DEFAULT_TTL,
    now: datetime | None = None,
) -> DevelopmentToken:
    """Sign a token with `RATCHET_JWT_SECRET`.

    Raises:
        NotConfigured: there is no secret.
    """
    secret = environ.get("RATCHET_JWT_SECRET")
    if not secret:
        raise NotConfigured(
            "No token: set RATCHET_TOKEN, or RATCHET_JWT_SECRET to make one for development "
            "(`make up` writes it to .ratchet/env; run ratchet in that folder)"
        )
    issued_at = now or datetime.now(UTC)
    expires_at = issued_at + ttl
    claims: dict[str, object] = {
        "sub": sub,
        "roles": list(roles),
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    claims |= {claim: environ[name] for claim, name in _CLAIMS.items() if environ.get(name)}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))
    return DevelopmentToken(token, sub, tuple(roles), expires_at)


def current_user() -> str:
    """The login name of whoever runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "developer"


class RenewingToken:
    """A token source that signs a new token shortly before the old one ends."""

    def __init__(self, environ: Mapping[str, str], sub: str, roles: Sequence[str]) -> None:
        self._environ = environ
        self._sub = sub
        self._roles = tuple(roles)
        self._current = sign(environ, sub, self._roles)

    def __call__(self) -> str:
        """A token that is valid for at least another minute."""
        if datetime.now(UTC) > self._current.expires_at - RENEW_BEFORE:
            self._current = sign(self._environ, self._sub, self._roles)
        return self._current.token
