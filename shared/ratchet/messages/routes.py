"""Every exchange, queue and routing key by name, once; `adapters.rabbitmq.topology` declares them."""

from dataclasses import dataclass
from datetime import timedelta

COMMANDS = "ratchet.commands"
EVENTS = "ratchet.events"
DEAD = "ratchet.dead"
PARKED = "ratchet.parked"

RECOVERY_COMMANDS = "recovery.commands"
RECOVERY_DEAD_LETTERS = "recovery.dead-letters"
NOTIFIER_EVENTS = "notifier.events"

START = "workflow.start"
UPSTREAM_STEP = "step.execute"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes."""

    exchange: str
    routing_key: str


def steps_queue(pool: str) -> str:
    """The queue that the executors of `pool` share."""
    return f"executor.steps.{pool}"


def step_key(pool: str) -> str:
    """The routing key of an internal step command."""
    return f"step.{pool}"


def recovery_key(command: str) -> str:
    """The routing key of a recovery command, for example `recovery.RecoverWorkflow`."""
    return f"recovery.{command}"


def retry_name(delay: timedelta) -> str:
    """The name of both the delay queue and the exchange in front of it.

    The exchange (a fanout) keeps the message's routing key, which leads it back to its pool when the delay is over.
    """
    return f"executor.retry.{round(delay.total_seconds() * 1000)}"


def again_name(pause: timedelta) -> str:
    """The waiting room, and the exchange in front of it, of commands that came back without having been carried out."""
    return f"executor.retry.again.{round(pause.total_seconds() * 1000)}"


def waiting_name(pause: timedelta) -> str:
    """The waiting room, and the exchange in front of it, of commands whose workflow has not been started yet."""
    return f"executor.retry.waiting.{round(pause.total_seconds() * 1000)}"


def to_pool(pool: str, delay: timedelta = timedelta(0)) -> Route:
    """The way to the executors of `pool`, at once or by the queue of exactly this delay."""
    return Route(retry_name(delay) if delay else COMMANDS, step_key(pool))
