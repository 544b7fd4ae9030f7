"""How this executor runs workflows: its settings, reduced to what the pipeline asks."""

from dataclasses import dataclass
from datetime import timedelta

from ratchet.domain.definition import StepDefinition
from ratchet.domain.retry import JITTER, Retry
from ratchet.messages.routes import Route, to_pool

MOST_ROUNDS = 20
"""Rather than so many rounds through a short queue, a message waits behind strangers in a longer one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`delays` are the delays that a queue exists for, ascending.

    `longest_unacknowledged` is the time limit up to which a step's message may wait for its end; the broker takes back
    what is acknowledged later.
    """

    pools: frozenset[str]
    retry: Retry
    step_timeout: timedelta
    delivery_steps: int
    delivery_time: timedelta
    delays: tuple[timedelta, ...]
    longest_unacknowledged: timedelta = timedelta.max

    def lives_on_lease(self, step: StepDefinition) -> bool:
        """Whether its message is acknowledged before it begins: declared so, or too long for the broker."""
        return step.long_running or self.timeout_of(step) > self.longest_unacknowledged

    def retry_of(self, step: StepDefinition) -> Retry:
        """The step's own plan, or the executor's."""
        return self.retry if step.retry is None else step.retry

    def timeout_of(self, step: StepDefinition) -> timedelta:
        """The step's own time limit, or the executor's."""
        return self.step_timeout if step.timeout is None else step.timeout

    def route_after(self, pool: str, delay: timedelta) -> tuple[Route, timedelta]:
        """The way to `pool` by the delay queue that fits best, and how long the message may stay in that queue.

        A wait that is longer than a queue's delay takes several rounds: a message that comes back before its row is
        due is sent round again.
        """
        if not self.delays:
            return to_pool(pool), timedelta(0)
        longer = [known for known in self.delays if known >= delay]
        # A jittered delay is up to a fifth shorter than its own queue's; anything else would wait behind strangers.
        shorter = max((known for known in self.delays if known < delay), default=timedelta(0))
        fits = longer and longer[0] * (1 - JITTER) <= delay
        queue = longer[0] if longer and (fits or shorter * MOST_ROUNDS < delay) else shorter
        return to_pool(pool, queue), min(delay, queue)
