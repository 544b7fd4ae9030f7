"""One delivery and how it may end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto

CAME_BACK_HEADER = "x-ratchet-came-back"
"""On the copy of a message that the broker had delivered again: the copy stands for that message."""


class Ending(Enum):
    """What is left to say to the broker when a workflow's turn is over."""

    DONE = auto()
    GIVEN_UP = auto()
    """Recovery has to look at it: the delivery becomes a dead letter."""


@dataclass(slots=True)
class Delivery:
    """The message in whose name a workflow is advanced.

    `is_shared`: a bulk start, whose message stands for many workflows, so none of them can reject it.
    """

    command_id: str
    correlation_id: str
    redelivered: bool
    pool: str
    acknowledge_message: Callable[[], Awaitable[None]]
    is_shared: bool = False
    is_acknowledged: bool = field(default=False, init=False)

    @property
    def can_be_rejected(self) -> bool:
        """Whether the broker can still be asked to dead-letter it."""
        return not self.is_shared and not self.is_acknowledged

    async def acknowledge(self) -> None:
        """Let go of the message before the end; the claim's lease is all that holds the workflow then."""
        if self.is_shared:
            await self.acknowledge_message()
        elif not self.is_acknowledged:
            await self.acknowledge_message()
            self.is_acknowledged = True
