"""One-time tickets, for clients that can set no header and should put no token into an address."""

import hashlib
from datetime import timedelta
from secrets import token_urlsafe
from typing import Protocol

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

KEPT_FOR = timedelta(seconds=30)
MAX_TICKET_CHARACTERS = 100

_SEAL = {"alg": "dir", "enc": "A256GCM"}


class OneTimeStore(Protocol):
    """Values that can be taken once. Both methods raise ConnectionError during an outage."""

    async def put(self, key: str, value: str, *, kept_for: timedelta) -> None:
        """Keep a value."""

    async def take(self, key: str) -> str | None:
        """The value, if it is still there; never again for anybody."""


class Tickets:
    """Stands a ticket for a token.

    The store sees neither: its key is a digest of the ticket, and the token is sealed with the ticket. So whoever can
    read the store cannot connect with what lies there, and whoever can write to it cannot make up a token.
    """

    def __init__(self, store: OneTimeStore) -> None:
        self._store = store

    async def issue(self, token: str) -> str:
        """A ticket that can be used once within `KEPT_FOR`; raises ConnectionError during an outage."""
        ticket = token_urlsafe(32)
        sealed = jwe.encrypt_compact(dict(_SEAL), token, _key(ticket), algorithms=list(_SEAL.values()))
        await self._store.put(_name(ticket), sealed, kept_for=KEPT_FOR)
        return ticket

    async def redeem(self, ticket: str) -> str | None:
        """The token, the first time; it is still to be verified. Raises ConnectionError during an outage."""
        if not 0 < len(ticket) <= MAX_TICKET_CHARACTERS:
            return None
        sealed = await self._store.take(_name(ticket))
        if sealed is None:
            return None
        try:
            plain = jwe.decrypt_compact(sealed, _key(ticket), algorithms=list(_SEAL.values())).plaintext
        except (JoseError, ValueError):
            return None
        return plain.decode() if plain else None


def _name(ticket: str) -> str:
    return hashlib.sha256(b"name " + ticket.encode(errors="replace")).hexdigest()


def _key(ticket: str) -> OctKey:
    return OctKey.import_key(hashlib.sha256(b"seal " + ticket.encode(errors="replace")).digest())
