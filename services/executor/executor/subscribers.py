"""From a delivery to the use case it is meant for; whatever cannot be understood is parked."""

from uuid import uuid4

from ratchet.crash_points import CrashPoint, Reach, nothing_happens
from ratchet.domain.errors import MalformedMessage
from ratchet.messages import routes
from ratchet.messages.commands import ContinueWorkflow, decode
from ratchet.messages.envelope import (
    MAX_BODY_BYTES,
    MAX_MESSAGE_ID,
    Incoming,
    Settlement,
    accepted_correlation_id,
)
from ratchet.ports import ParkingLot

from executor.accept_start import AcceptStart
from executor.delivery import CAME_BACK_HEADER, Delivery, Ending
from executor.drive_step import DriveStep
from executor.holdings import Holdings
from executor.resume_workflow import ResumeWorkflow


class StepSubscriber:
    """Handles every message of a pool's work queue."""

    def __init__(
        self,
        *,
        start: AcceptStart,
        drive: DriveStep,
        resume: ResumeWorkflow,
        holdings: Holdings,
        parking: ParkingLot,
        pool: str,
        reach: Reach = nothing_happens,
    ) -> None:
        self._start = start
        self._drive = drive
        self._resume = resume
        self._holdings = holdings
        self._parking = parking
        self._pool = pool
        self._reach = reach

    async def __call__(self, message: Incoming) -> Settlement:
        """Raises only for outages, after which it may be called again with the same message."""
        with self._holdings.at_work():
            return await self._handle(message)

    async def _handle(self, message: Incoming) -> Settlement:
        try:
            ending = await self._dispatch(message)
        except MalformedMessage as error:
            await self._parking.park(message, str(error))
            return Settlement.ACK
        self._reach(CrashPoint.BEFORE_SETTLE)
        return Settlement.REJECT if ending is Ending.GIVEN_UP else Settlement.ACK

    async def _dispatch(self, message: Incoming) -> Ending:
        delivery = delivery_of(message, self._pool)
        match message.routing_key:
            case routes.START:
                return await self._start(message, delivery)
            case routes.UPSTREAM_STEP:
                _require_size(message)
                return await self._drive(message, delivery)
            case key if key.startswith("step."):
                _require_size(message)
                return await self._resume(decode(ContinueWorkflow, message.body).workflow_id, delivery)
            case key:
                raise MalformedMessage(f"The executor knows no routing key {key!r}")


def delivery_of(message: Incoming, pool: str) -> Delivery:
    """The delivery behind a message.

    Raises:
        MalformedMessage: it has no usable message id.
    """
    if not message.message_id:
        raise MalformedMessage("The message has no message_id; it is the idempotency key, so it is required")
    if len(message.message_id) > MAX_MESSAGE_ID or "\x00" in message.message_id:
        raise MalformedMessage(f"A message_id has at most {MAX_MESSAGE_ID} characters and no NUL")
    return Delivery(
        command_id=message.message_id,
        correlation_id=correlation_id_of(message),
        redelivered=message.redelivered or CAME_BACK_HEADER in message.headers,
        pool=pool,
        acknowledge_message=message.acknowledge,
    )


def correlation_id_of(message: Incoming) -> str:
    """The message's correlation id if it is a clean one, else its message id, else a new one."""
    return accepted_correlation_id(message.correlation_id, accepted_correlation_id(message.message_id, str(uuid4())))


def _require_size(message: Incoming) -> None:
    if len(message.body) > MAX_BODY_BYTES:
        raise MalformedMessage(f"The body has {len(message.body)} bytes; a command has at most {MAX_BODY_BYTES}")
