"""What a token may be signed with: who decides about keys and algorithms, and the simplest case, a shared secret."""

import warnings
from typing import Protocol

import structlog
from joserfc.jwk import Key, OctKey

from ratchet.domain.errors import InvalidSettings, RatchetError

ADVISED_SECRET_BYTES = 32

log = structlog.get_logger()


class InvalidToken(RatchetError):
    """The token proves nothing (HTTP 401). The text is fit for showing and never holds a part of the token."""


class KeysUnavailable(RatchetError):
    """The signing keys could not be fetched, so nothing can be said about the token (HTTP 503, worth another try)."""


class KeySource(Protocol):
    """Where the keys come from. It alone decides which algorithms count, never the token."""

    @property
    def algorithms(self) -> list[str]:
        """The accepted algorithms; a token that names any other is refused."""
        ...

    async def key_for(self, algorithm: str, kid: str | None) -> Key:
        """The one key that may have signed a token with this header.

        Raises:
            InvalidToken: there is no such key.
            KeysUnavailable: it cannot be known now.
        """
        ...


class SharedSecret:
    """HS256 with one secret that issuer and services know."""

    algorithms: list[str] = ["HS256"]  # noqa: RUF012  # a protocol's attribute; nobody changes it

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < ADVISED_SECRET_BYTES:
            log.warning(
                "tokens.short_secret",
                advice=f"use at least {ADVISED_SECRET_BYTES} random characters",
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # just said, and in the log's form
                self._key: Key = OctKey.import_key(secret)
        except ValueError as error:
            raise InvalidSettings("RATCHET_JWT_SECRET: must be a random secret, not a public key") from error

    async def key_for(self, _algorithm: str, _kid: str | None) -> Key:
        """The secret, whatever key id the token carries."""
        return self._key
