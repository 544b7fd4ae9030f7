"""What use cases ask about executors: who is there, and who can run what now."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from ratchet.domain.definition import WorkflowDefinition
from ratchet.messages.rounds import StartsUnderWay


class Served(Protocol):
    """Whoever knows what executors can run now."""

    async def is_served(self, definition: str, version: int, pool: str) -> bool:
        """Whether an executor of this pool that has this definition is there."""


class KeepsAside(Served, Protocol):
    """Whoever also keeps workflows apart that nobody can run."""

    async def keep_aside(self, workflow_id: UUID) -> None:
        """Nobody can run it now: keep it where people look; it is sent for once somebody can."""


class Presence(Served, Protocol):
    """The executor's own place among the others."""

    async def arrive(self, definitions: Sequence[WorkflowDefinition], pools: Sequence[str]) -> None:
        """From now on this executor counts. Safe to repeat."""

    async def beat(self, *, is_unpacking: bool) -> Mapping[str, int]:
        """Say that it is still there, and whether it has an array in hand; the version that a start without one gets.

        That is the newest that somebody serves now, or the newest that was ever registered where nobody serves any.
        """

    async def leave(self) -> None:
        """It takes nothing more."""

    async def find(self, name: str, version: int | None) -> WorkflowDefinition | None:
        """A definition that any executor registered; without a version the one that a start would get."""

    async def set_aside(self, workflow_id: UUID, command_id: str) -> None:
        """Nobody can run it: keep it where people look, until somebody can. Nothing if its command is another one."""


class Catalog(Protocol):
    """What a start is looked up in beyond the own code."""

    def newest(self, name: str) -> int | None:
        """The version that a start without one gets; None where nobody has registered any."""

    async def find(self, name: str, version: int | None) -> WorkflowDefinition | None:
        """A definition that any executor registered."""

    def unpacking(self) -> AbstractAsyncContextManager[None]:
        """While the block runs everybody may know that starts are in hand here."""


class FindStarts(Protocol):
    """Whoever knows where a start may still be."""

    async def __call__(self, workflow_id: UUID) -> StartsUnderWay:
        """Where the start of this workflow could be."""
