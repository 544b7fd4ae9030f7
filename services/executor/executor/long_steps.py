"""Steps that the broker would not wait for."""

from datetime import timedelta

import structlog
from ratchet.authoring import Registry

from executor.rules import Rules

log = structlog.get_logger()


def longest_unacknowledged(consumer_timeout: timedelta, delivery_time: timedelta) -> timedelta:
    """The time limit up to which a step's message may wait for its end; a timeout of 0 stands for none."""
    if not consumer_timeout:
        return timedelta.max
    # A delivery may carry steps for so long before the last one begins.
    return max(consumer_timeout - delivery_time, timedelta(0))


def tell_of_long_steps(registry: Registry, rules: Rules) -> None:
    """In the log, at the start: which steps are run as if they were declared `long_running`."""
    for item in registry.definitions:
        for step in item.steps:
            if rules.lives_on_lease(step) and not step.long_running:
                log.warning(
                    "step.made_long_running",
                    definition=item.name,
                    step=step.id,
                    limit_seconds=rules.timeout_of(step).total_seconds(),
                    advice="the broker would take its message back first (RATCHET_CONSUMER_TIMEOUT), so it lives on "
                    "its lease alone; declare it long_running, or give it a shorter time limit",
                )
