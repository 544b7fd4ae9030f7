"""Dead commands of upstream services: what was not carried out goes back to where it came from, or before a person."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from ratchet import exact_json
from ratchet.messages.commands import MAX_BULK
from ratchet.messages.deaths import latest_death
from ratchet.messages.envelope import Incoming
from ratchet.messages.rounds import returned, returns_of
from ratchet.messages.routes import COMMANDS, START, UPSTREAM_STEP
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.ports import MessagePublisher, ParkingLot

from recovery.look_after import PARKED, RETURNED, LookAfter, Verdict

log = structlog.get_logger()

UPSTREAM = frozenset({START, UPSTREAM_STEP})

NOT_CARRIED_OUT = frozenset({Verdict.UNKNOWN, Verdict.STALE})
"""Verdicts after which an executor has to say whether the command was carried out: asking it again does no harm."""


class ReturnCommands:
    """The use case for dead `workflow.start` and `step.execute`. One instance serves all dead letters."""

    def __init__(
        self, look_after: LookAfter, publisher: MessagePublisher, parking: ParkingLot, metrics: RecoveryMetrics
    ) -> None:
        self._look_after = look_after
        self._publisher = publisher
        self._parking = parking
        self._metrics = metrics

    async def __call__(self, message: Incoming, *, was_returned_too_often: bool) -> None:
        """Settle what its workflow's row can settle, and send the rest again; of an array only that rest.

        Safe to repeat. Raises what the servers raise; the message must not be acknowledged then.
        """
        members = members_of(message.body)
        if members is None:
            await self._send(message, message.body)
            return
        left = list[int]()
        for index, member in enumerate(members):
            workflow_id = workflow_of(member)
            verdict = Verdict.UNKNOWN
            if workflow_id is not None:
                verdict = await self._look_after(
                    workflow_id, message.message_id, was_returned_too_often=was_returned_too_often
                )
            if verdict in NOT_CARRIED_OUT:
                left.append(index)
        if len(left) == len(members):
            await self._send(message, message.body)
        elif left:
            texts = exact_json.members(message.body)
            await self._send(message, b"[" + b",".join(texts[index] for index in left) + b"]")

    async def _send(self, message: Incoming, body: bytes) -> None:
        origin = origin_of(message)
        again = returned(message, origin.routing_key, body) if message.message_id else None
        if again is None:
            await self._park(replace(origin, body=body), message)
            return
        await self._publisher.publish([again])
        self._metrics.dead_letters.labels(RETURNED).inc()
        log.warning(
            "command.returned",
            message_id=message.message_id,
            routing_key=origin.routing_key,
            returns=returns_of(message) + 1,
            correlation_id=message.correlation_id,
        )

    async def _park(self, origin: Incoming, message: Incoming) -> None:
        death = latest_death(message.headers)
        why = "" if death is None else f" {death.reason}."
        times = returns_of(message) + 1
        await self._parking.park(origin, f"It came back {times} times without having been carried out.{why}")
        self._metrics.dead_letters.labels(PARKED).inc()


def origin_of(message: Incoming) -> Incoming:
    """The message as it was sent to where it died, so that sending it there again is what a replay does."""
    death = latest_death(message.headers)
    exchange = COMMANDS if death is None or not death.exchange else death.exchange
    return replace(message, exchange=exchange)


def members_of(body: bytes) -> list[Any] | None:
    """The starts in an array, or the one command; None for what only its executor can judge."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    members = content if isinstance(content, list) else [content]
    return members if 0 < len(members) <= MAX_BULK else None


def workflow_of(member: Any) -> UUID | None:
    """The workflow that a command is about; None where it does not say."""
    try:
        return UUID(member["workflowId"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def is_upstream(message: Incoming) -> bool:
    """Whether it is a command that an upstream service sent, which no row can stand for."""
    return message.routing_key in UPSTREAM
