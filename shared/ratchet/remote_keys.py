"""Public signing keys from a JWKS address: fetched without blocking, kept, and renewed when an unknown key id comes."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from httpx2 import AsyncClient, HTTPError, InvalidURL
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, RSAKey

from ratchet.domain.errors import RatchetError
from ratchet.signing_keys import InvalidToken, KeysUnavailable

FRESH = timedelta(minutes=10)
"""Keys older than this are fetched again; if that fails the old ones still count."""

PAUSE = timedelta(seconds=15)
"""Least time between two fetches, so that made-up key ids cannot turn this service against the issuer."""

FETCH_TIMEOUT = timedelta(seconds=5)
MAX_SET_BYTES = 1024 * 1024

log = structlog.get_logger()


class UnusableKeySet(RatchetError):
    """What the address answered is no key set, or holds no key that could sign a token."""


class RemoteKeys:
    """RS256 and ES256 by key id. Symmetric keys in the set are passed over: a public secret would be none."""

    algorithms: list[str] = ["RS256", "ES256"]  # noqa: RUF012  # a protocol's attribute; nobody changes it

    def __init__(
        self,
        url: str,
        http: AsyncClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: list[Key] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching = asyncio.Lock()

    async def key_for(self, algorithm: str, kid: str | None) -> Key:
        """The key of that id; without an id the only one of the right kind.

        Raises:
            InvalidToken: the issuer publishes no such key.
            KeysUnavailable: no keys could be fetched yet.
        """
        found = self._find(algorithm, kid)
        if found is None or not self._is_younger(self._fetched_at, FRESH):
            await self._renew()
            found = self._find(algorithm, kid)
        if found is not None:
            return found
        if self._fetched_at is None:
            raise KeysUnavailable("The signing keys cannot be fetched at the moment: try again shortly")
        raise InvalidToken("The token is signed with a key that its issuer does not publish")

    def _find(self, algorithm: str, kid: str | None) -> Key | None:
        fitting = [key for key in self._keys if _fits(key, algorithm)]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.kid == kid), None)

    async def _renew(self) -> None:
        async with self._fetching:  # whoever waited here finds what the first one fetched
            if self._is_younger(self._tried_at, PAUSE):
                return
            self._tried_at = self._clock()
            try:
                self._keys = await self._fetch()
            except (
                HTTPError,
                InvalidURL,
                OSError,
                ValueError,
                UnusableKeySet,
            ) as error:
                log.warning(
                    "tokens.keys_not_fetched",
                    error=f"{type(error).__name__}: {error}",
                    kept=len(self._keys),
                )
            else:
                self._fetched_at = self._clock()

    async def _fetch(self) -> list[Key]:
        async with asyncio.timeout(FETCH_TIMEOUT.total_seconds()):
            answer = await self._http.get(
                self._url,
                headers={"Accept": "application/json"},
                follow_redirects=False,
            )
        answer.raise_for_status()
        if len(answer.content) > MAX_SET_BYTES:
            raise UnusableKeySet("the key set is too large")
        return parse_key_set(answer.json())

    def _is_younger(self, instant: float | None, age: timedelta) -> bool:
        return instant is not None and self._clock() - instant < age.total_seconds()


def parse_key_set(document: Any) -> list[Key]:
    """The keys that can verify signatures; one that cannot be understood does not spoil the others.

    Raises:
        UnusableKeySet: it is no key set, or nothing in it can be used.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnusableKeySet('the answer is no JSON object with a list "keys"')
    keys = [key for entry in entries if (key := _imported(entry)) is not None]
    if not keys:
        raise UnusableKeySet("the key set holds no RSA or EC key for signatures")
    return keys


def _imported(entry: Any) -> Key | None:
    try:
        key = JWKRegistry.import_key(entry)
        key.ensure_kid()
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key if isinstance(key, RSAKey | ECKey) and key.get("use", "sig") == "sig" else None


def _fits(key: Key, algorithm: str) -> bool:
    if key.get("alg", algorithm) != algorithm:
        return False
    return isinstance(key, RSAKey) if algorithm == "RS256" else isinstance(key, ECKey) and key.curve_name == "P-256"
