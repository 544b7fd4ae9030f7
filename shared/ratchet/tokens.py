"""Who is calling: JSON Web Tokens checked the same way by every service that people talk to."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from httpx2 import AsyncClient
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

from ratchet.domain.errors import InvalidSettings
from ratchet.remote_keys import RemoteKeys
from ratchet.settings import Settings
from ratchet.signing_keys import InvalidToken, KeySource, KeysUnavailable, SharedSecret

__all__ = ["InvalidToken", "KeysUnavailable", "Principal", "Role", "TokenVerifier"]

MAX_TOKEN_CHARACTERS = 16 * 1024
"""Longer ones are refused unread."""

NOT_BEFORE_LEEWAY = timedelta(seconds=3)
"""How far ahead the issuer's clock may be. `exp` has none: when a token ends is known to whoever holds it."""

# The same rule as for owner ids in commands: a subject must be able to own workflows.
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")


class Role(StrEnum):
    """What a principal may do beyond looking after its own workflows."""

    USER = "user"
    SUPPORT = "support"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose token was checked; nothing else about the token is kept."""

    sub: str
    roles: frozenset[Role]
    expires_at: datetime

    @property
    def is_staff(self) -> bool:
        """Support and admins see everybody's workflows."""
        return bool(self.roles & {Role.SUPPORT, Role.ADMIN})

    @property
    def is_admin(self) -> bool:
        """Admins may also act on everybody's workflows."""
        return Role.ADMIN in self.roles


class TokenVerifier:
    """Checks signature and claims; safe to share between tasks and to ask again and again."""

    def __init__(
        self,
        keys: KeySource,
        *,
        audience: str | None = None,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._clock = clock
        options: dict[str, Any] = {
            "exp": {"essential": True},
            "sub": {"essential": True},
        }
        if audience is not None:
            options["aud"] = {"essential": True, "value": audience}
        if issuer is not None:
            options["iss"] = {"essential": True, "value": issuer}
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()), leeway=round(NOT_BEFORE_LEEWAY.total_seconds()), **options
        )

    @classmethod
    def from_settings(cls, settings: Settings, http: AsyncClient) -> "TokenVerifier":
        """By `jwt_jwks_url` if that is set (a shared secret then counts for nothing), else by `jwt_secret`.

        `http` fetches the keys; it stays the caller's, who closes it after the last `verify`.

        Raises:
            InvalidSettings: neither is set.
        """
        keys: KeySource
        if settings.jwt_jwks_url:
            keys = RemoteKeys(settings.jwt_jwks_url, http)
        elif settings.jwt_secret is not None and settings.jwt_secret.get_secret_value().strip():
            keys = SharedSecret(settings.jwt_secret.get_secret_value())
        else:
            raise InvalidSettings("RATCHET_JWT_SECRET: set it (32 random characters or more), or RATCHET_JWT_JWKS_URL")
        return cls(
            keys,
            audience=settings.jwt_audience or None,
            issuer=settings.jwt_issuer or None,
        )

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for; unknown roles are ignored, and without any role it is a plain user.

        Raises:
            InvalidToken: malformed, wrongly signed, out of its time, or made for somebody else.
            KeysUnavailable: the signing keys cannot be fetched at the moment.
        """
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise InvalidToken("The token is malformed")
        try:
            algorithm, kid = _header(token)
            if algorithm not in self._keys.algorithms:
                raise InvalidToken("The token is signed with an algorithm that is not accepted here")
            key = await self._keys.key_for(algorithm, kid)
            claims = jwt.decode(token, key, algorithms=[algorithm]).claims
            # Clocks differ by moments: `nbf` has a leeway. "Issued in the future" by itself protects nobody.
            self._claims.validate({name: value for name, value in claims.items() if name != "iat"})
        except ExpiredTokenError as error:
            raise InvalidToken("The token has expired: sign in again") from error
        except ClaimError as error:
            raise InvalidToken(f"The token's claim {error.claim!r} is missing or not acceptable") from error
        except (JoseError, ValueError, RecursionError) as error:
            raise InvalidToken("The token is malformed or its signature is wrong") from error
        if claims["exp"] <= self._clock():  # without the leeway, and to the fraction of a second
            raise InvalidToken("The token has expired: sign in again")
        return _principal(claims)


def _header(token: str) -> tuple[str, str | None]:
    header = jws.extract_compact(token.encode()).protected
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise InvalidToken("The token is malformed")
    return algorithm, kid


def _principal(claims: Mapping[str, Any]) -> Principal:
    sub, roles = claims["sub"], claims.get("roles", [])
    if not _SUBJECT.fullmatch(sub):
        raise InvalidToken("The token's claim 'sub' must be 1 to 200 characters without control characters")
    if not isinstance(roles, list):
        raise InvalidToken("The token's claim 'roles' must be a list")
    known = frozenset(role for role in Role if role.value in roles)
    return Principal(sub, known or frozenset({Role.USER}), _instant(claims["exp"]))


def _instant(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return datetime.max.replace(tzinfo=UTC)
