"""Feeds: each user's events in order, numbered without gaps, and one feed of everything for support and admins."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from ratchet.messages.events import STAFF_ONLY, EventType

STAFF_FEED = "all"


def user_feed(subject: str) -> str:
    """The feed of one user's own workflows."""
    return f"user:{subject}"


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody reading a feed: the staff feed has many readers, each with a position of their own."""

    feed: str
    subject: str


@dataclass(frozen=True, slots=True)
class NewNotification:
    """An event to keep; `data` is the text of a JSON object."""

    event_id: str
    type: EventType
    owner_id: str
    workflow_id: UUID
    data: str
    occurred_at: datetime

    @property
    def feeds(self) -> tuple[str, ...]:
        """Where it belongs: always to the staff, and to the owner unless it is the staff's alone."""
        return (STAFF_FEED,) if self.type in STAFF_ONLY else (STAFF_FEED, user_feed(self.owner_id))


@dataclass(frozen=True, slots=True)
class Notification:
    """An event in a feed. Its successor in the same feed has the next number, always."""

    seq: int
    type: str
    occurred_at: datetime
    data: str


@dataclass(frozen=True, slots=True)
class FeedState:
    """A feed as one reader finds it: numbers above `pruned` up to `newest` are kept; None: never acknowledged."""

    newest: int
    pruned: int
    acknowledged: int | None
    muted: frozenset[str] = frozenset()


class FeedStore(Protocol):
    """The notifier's questions to the database. Every method may be called concurrently and again."""

    async def store(self, notification: NewNotification) -> Mapping[str, int]:
        """Keep an event in its feeds, once; its number in each, or nothing if it was there already. Batched inside."""

    async def state(self, reader: Reader) -> FeedState:
        """A feed that was never written to is empty. Batched inside."""

    async def read(self, feed: str, *, after: int, limit: int) -> list[Notification]:
        """The oldest notifications that are kept above `after`, in order."""

    async def read_many(self, positions: Mapping[str, int], *, limit: int) -> dict[str, list[Notification]]:
        """For each feed what `read` would answer; feeds with nothing new are left out."""

    async def newest(self, feeds: Sequence[str]) -> dict[str, int]:
        """The newest number of each feed that was ever written to."""

    async def acknowledge(self, positions: Mapping[Reader, int]) -> None:
        """Remember how far each reader got: never backwards, never beyond the newest."""

    async def mute(self, reader: Reader, types: Collection[str]) -> None:
        """From now on push everything to this reader except events of these types."""

    async def prune(self, *, kept_for: timedelta) -> int:
        """Delete what was stored longer ago, in batches; returns how many notifications went. Numbers are kept."""
