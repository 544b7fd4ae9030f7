"""What the executor's keeper thread asks of the database."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from ratchet.messages.envelope import Outgoing
from ratchet.ports import Claim, FailureCommit


class ClaimKeeping(Protocol):
    """A database session beside the event loop's own ones. As long as it stands, others see that the executor lives."""

    @property
    def stands(self) -> bool:
        """False once the connection is gone."""

    async def extend(self, held: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
        """Extend the leases of everything in this executor's name; which of the named (workflow, token) still hold."""

    async def fail(self, commit: FailureCommit) -> bool:
        """Commit a failed attempt; False if the claim was gone."""

    async def hand_back(self, held: Sequence[tuple[Claim, Outgoing]]) -> int:
        """Release claims, each with the command that goes to the next executor; how many there were."""

    async def close(self) -> None:
        """Others see at once that the executor has gone."""
