"""When a workflow counts as interrupted: nothing will move it any more unless somebody gives it a new command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """A pool's queue: commands that wait in it, and who takes them out."""

    ready: int
    consumers: int


NO_QUEUE = QueueDepth(0, 0)


@dataclass(frozen=True, slots=True)
class Interruption:
    """The rules of one scan.

    A workflow that somebody holds is interrupted when the lease ran out. One that waits for its turn is when nothing
    happened for `stale_after`, or when its retry is overdue by `retry_grace`. Where commands of its pool still wait in
    the queue (`depths`, by pool), its own is probably among them: then only `ceiling` makes it interrupted, and nothing
    does while nobody takes commands out of that queue.
    """

    stale_after: timedelta
    retry_grace: timedelta
    ceiling: timedelta
    depths: Mapping[str, QueueDepth] = field(default_factory=dict)

    @property
    def slow_pools(self) -> list[str]:
        """Pools in whose queue commands wait."""
        return [pool for pool, depth in self.depths.items() if depth.ready]

    @property
    def standing_pools(self) -> list[str]:
        """Pools in whose queue commands wait and that nobody serves."""
        return [pool for pool, depth in self.depths.items() if depth.ready and not depth.consumers]

    def proves_loss(self, pool: str) -> bool:
        """Whether a workflow of this pool that nothing moves has lost its message: the pool is served, and has none.

        Only then is its rescue counted. Otherwise it may just have to wait, and waiting is nobody's failure.
        """
        depth = self.depths.get(pool, NO_QUEUE)
        return depth.ready == 0 and depth.consumers > 0
