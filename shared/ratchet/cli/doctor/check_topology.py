"""Exchanges and queues: is each there, with exactly the arguments that Ratchet's promises rest on?"""

import re
from datetime import timedelta

from aio_pika.abc import AbstractConnection, ExchangeType
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.topology import Queue
from ratchet.cli.doctor.expected import Expected
from ratchet.cli.doctor.findings import Finding, Level
from ratchet.messages import routes

AREA = "RabbitMQ"
UNUSUAL_BACKLOG = 10_000

_DIFFERENCE = re.compile(r"(inequivalent arg .*?)(?:'\.?$|$)")


async def check_topology(connection: AbstractConnection, expected: Expected) -> list[Finding]:
    """Look at everything; nothing is created or changed."""
    exchanges = [await _exchange(connection, name, kind) for name, kind in topology.exchanges(expected.delays)]
    queues = [await _queue(connection, queue) for queue in topology.queues(expected.pools, expected.delays)]
    return [*exchanges, *queues]


def judge_backlog(name: str, *, messages: int, consumers: int) -> Finding:
    """What a queue's numbers mean where its arguments are right."""
    subject = f"queue {name}"
    if name == routes.PARKED:
        if messages:
            return Finding(AREA, subject, Level.WARNING, f"{messages} parked", "Look at them: GET /api/v1/admin/parked")
        return Finding(AREA, subject, Level.OK, "empty")
    if name.startswith(routes.retry_name(timedelta(0)).rstrip("0")):
        # The broker counts neither those with a consumer nor those whose time has come and whose target is missing.
        found = f"{messages} waiting for their time; what is overdue, or held back while its target is missing, is not"
        return Finding(AREA, subject, Level.OK, f"{found} counted here but under Postgres, retries")
    found = f"{messages} ready, {consumers} consuming"
    if consumers == 0:
        return Finding(AREA, subject, Level.WARNING, found, _who_consumes(name))
    if messages > UNUSUAL_BACKLOG:
        return Finding(AREA, subject, Level.WARNING, found, "Add executors, or see in their logs why they are slow")
    return Finding(AREA, subject, Level.OK, found)


def judge_lossless(queue: Queue) -> Finding | None:
    """Dead letters must arrive at least once, which the broker silently gives up unless a full queue rejects."""
    arguments = queue.arguments
    if "x-dead-letter-exchange" not in arguments:
        return None
    wanted = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    if wanted.items() <= arguments.items():
        return None
    return Finding(
        AREA, queue.name, Level.RED, "its dead letters can be lost", "This is a defect of Ratchet: report it"
    )


def difference(text: str) -> str:
    """The part of the broker's refusal that names the argument, without class and method numbers."""
    match = _DIFFERENCE.search(text)
    return match[1] if match else text


async def _exchange(connection: AbstractConnection, name: str, kind: ExchangeType) -> Finding:
    # A refusal closes the channel, so each question has its own.
    subject = f"exchange {name}"
    try:
        async with connection.channel() as channel:
            await channel.declare_exchange(name, passive=True)
        async with connection.channel() as channel:
            await channel.declare_exchange(name, kind, durable=True)
    except ChannelNotFoundEntity:
        return Finding(AREA, subject, Level.RED, "it is missing", "Start the services: they declare it")
    except ChannelPreconditionFailed as error:
        advice = "Delete the exchange, then restart the services: they declare it anew"
        return Finding(AREA, subject, Level.RED, difference(str(error)), advice)
    except ChannelAccessRefused as error:
        return _forbidden(subject, error)
    return Finding(AREA, subject, Level.OK, kind.value)


async def _queue(connection: AbstractConnection, queue: Queue) -> Finding:
    subject = f"queue {queue.name}"
    try:
        async with connection.channel() as channel:
            declared = await channel.declare_queue(queue.name, passive=True)
            counts = declared.declaration_result
        async with connection.channel() as channel:
            await channel.declare_queue(queue.name, durable=True, arguments=queue.all_arguments)
    except ChannelNotFoundEntity:
        return Finding(AREA, subject, Level.RED, "it is missing", _who_declares(queue.name))
    except ChannelPreconditionFailed as error:
        advice = "Let it run empty, delete it, then restart the services: they declare it anew"
        return Finding(AREA, subject, Level.RED, difference(str(error)), advice)
    except ChannelAccessRefused as error:
        return _forbidden(subject, error)
    return judge_lossless(queue) or judge_backlog(
        queue.name, messages=counts.message_count or 0, consumers=counts.consumer_count or 0
    )


def _forbidden(subject: str, error: ChannelAccessRefused) -> Finding:
    advice = "Ask with a user who may configure it, like the services' own"
    return Finding(AREA, subject, Level.WARNING, f"this user may not compare it ({error})", advice)


def _who_consumes(queue: str) -> str:
    return f"Start {_service_of(queue)}"


def _who_declares(queue: str) -> str:
    if queue.startswith("executor.retry."):
        return (
            "Start an executor that has the workflows with this retry delay (RATCHET_WORKFLOWS, RATCHET_RETRY_DELAYS)"
        )
    return f"Start {_service_of(queue)}: it declares the queue"


def _service_of(queue: str) -> str:
    pool = queue.removeprefix(routes.steps_queue(""))
    if pool != queue:
        return f"an executor with {pool} in RATCHET_POOLS"
    return "the notifier" if queue == routes.NOTIFIER_EVENTS else "the recovery service"
