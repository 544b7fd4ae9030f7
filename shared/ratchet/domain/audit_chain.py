"""The audit log's chain: each link's hash covers its entry and the link before, so no entry can change unseen."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

GENESIS = hashlib.sha256(b"ratchet audit").digest()
"""Stands for the link before the first one."""


def link(previous: bytes, position: int, entry: bytes) -> bytes:
    """The hash of the link at `position`; `entry` is the canonical text of the audit entry."""
    return hashlib.sha256(previous + position.to_bytes(8, "big") + entry).digest()


class Flaw(StrEnum):
    """What can be wrong with the log."""

    EDITED = "edited"
    """The entry, its place, or a link was changed."""
    DELETED = "deleted"
    """The chain has a link whose entry is gone."""
    GAP = "gap"
    """A link of the chain is gone."""
    UNSEALED = "unsealed"
    """An entry that was never sealed although it is old: somebody took it out of the chain."""
    FORGED = "forged"
    """The chain does not contain the head that was kept elsewhere."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link as stored, with the canonical text of its entry (None: the entry is gone)."""

    position: int
    audit_id: int
    hash: bytes
    entry: bytes | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, and where."""

    flaw: Flaw
    position: int | None
    audit_id: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link. Kept elsewhere, it also proves that nothing was cut off at the end."""

    position: int
    hash: bytes


EMPTY = Head(0, GENESIS)


class ChainCheck:
    """Checks a chain piece by piece, oldest first."""

    def __init__(self, expected: Head | None = None) -> None:
        self.head = EMPTY
        self._expected = expected
        self._met = expected is None

    def follow(self, links: Iterable[Link]) -> Iterator[Finding]:
        """Check the next links. After a flaw the stored hash is believed, so each flaw is found once."""
        for item in links:
            if item.position != self.head.position + 1:
                yield Finding(Flaw.GAP, self.head.position + 1, None)
            elif item.entry is not None and link(self.head.hash, item.position, item.entry) != item.hash:
                yield Finding(Flaw.EDITED, item.position, item.audit_id)
            if item.entry is None:
                yield Finding(Flaw.DELETED, item.position, item.audit_id)
            self.head = Head(item.position, item.hash)
            self._met = self._met or self.head == self._expected

    def end(self) -> Iterator[Finding]:
        """What can only be said when all links were seen."""
        if not self._met and self._expected is not None:
            yield Finding(Flaw.FORGED, self._expected.position, None)
