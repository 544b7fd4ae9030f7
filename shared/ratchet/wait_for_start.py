"""Commands that came before the start of their workflow: they go round instead of taking up a place meanwhile."""

from uuid import UUID

from ratchet.messages.envelope import Incoming, Outgoing
from ratchet.messages.rounds import NONE_UNDER_WAY, PATIENT_ROUNDS, rounds_of, waiting
from ratchet.presence_ports import FindStarts


class WaitForStart:
    """Says how a command waits, and when its workflow cannot be expected any more."""

    def __init__(self, find_starts: FindStarts) -> None:
        self._find_starts = find_starts

    async def again(self, message: Incoming, workflow_id: UUID) -> Outgoing | None:
        """The command to be sent round once more; None when no start of its workflow is under way.

        Raises what the servers raise.
        """
        starts = NONE_UNDER_WAY
        if rounds_of(message) >= PATIENT_ROUNDS:
            starts = await self._find_starts(workflow_id)
        return waiting(message, starts)
