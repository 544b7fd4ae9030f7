"""From a delivery to the use case it is meant for; whatever cannot be understood is parked."""

from uuid import UUID, uuid4

import orjson
from ratchet.domain.errors import MalformedMessage
from ratchet.messages.commands import GIVEN_UP, RecoveryCommand, RecoveryRequest, RestartScan, decode
from ratchet.messages.deaths import was_returned_too_often
from ratchet.messages.envelope import Incoming, Settlement, accepted_correlation_id
from ratchet.messages.routes import recovery_key
from ratchet.ports import MessagePublisher, ParkingLot
from ratchet.wait_for_start import WaitForStart

from recovery.handle_command import KINDS, HandleCommand, NotStarted
from recovery.look_after import LookAfter, Verdict
from recovery.restart_scan import RestartScan as ScanForInterrupted
from recovery.return_commands import ReturnCommands, is_upstream, origin_of

BY_KEY = {recovery_key(command): command for command in RecoveryCommand}


class CommandSubscriber:
    """Handles every message of `recovery.commands`."""

    def __init__(
        self,
        handle: HandleCommand,
        scan: ScanForInterrupted,
        parking: ParkingLot,
        *,
        wait: WaitForStart,
        publisher: MessagePublisher,
    ) -> None:
        self._handle = handle
        self._wait = wait
        self._publisher = publisher
        self._scan = scan
        self._parking = parking

    async def __call__(self, message: Incoming) -> Settlement:
        """Raises only for outages, after which it may be called again with the same message."""
        try:
            await self._dispatch(message)
        except MalformedMessage as error:
            await self._parking.park(message, str(error))
        return Settlement.ACK

    async def _dispatch(self, message: Incoming) -> None:
        command = BY_KEY.get(message.routing_key)
        if command is None:
            raise MalformedMessage(f"Recovery knows no routing key {message.routing_key!r}")
        if command is RecoveryCommand.RESTART_SCAN:
            await self._scan(decode(RestartScan, message.body).reason)
            return
        if not message.message_id:
            raise MalformedMessage("The message has no message_id; it names the recovery, so it is required")
        request = decode(RecoveryRequest, message.body)
        again = await self._wait.again(message, request.workflow_id)
        try:
            await self._handle(
                KINDS[command],
                request,
                recovery_id=message.message_id,
                correlation_id=_correlation_id(message),
                may_wait=again is not None,
            )
        except NotStarted:
            # A command that came with the start of its workflow goes round until somebody has taken that up.
            await self._publisher.publish([] if again is None else [again])


class DeadLetterSubscriber:
    """Handles every message of `recovery.dead-letters`."""

    def __init__(self, look_after: LookAfter, return_command: ReturnCommands, parking: ParkingLot) -> None:
        self._look_after = look_after
        self._return_command = return_command
        self._parking = parking

    async def __call__(self, message: Incoming) -> Settlement:
        """Raises only for outages, after which it may be called again with the same message."""
        # A notice that an executor wrote has an id of its own, which never is a workflow's command.
        message_id = None if message.type == GIVEN_UP else message.message_id
        too_often = was_returned_too_often(message.headers)
        if is_upstream(message):
            await self._return_command(message, was_returned_too_often=too_often)
            return Settlement.ACK
        try:
            workflow_id = _workflow_in(message.body)
        except MalformedMessage as error:
            await self._parking.park(origin_of(message), f"Dead letter: {error}")
            return Settlement.ACK
        verdict = await self._look_after(workflow_id, message_id, was_returned_too_often=too_often)
        if verdict is Verdict.UNKNOWN:
            await self._parking.park(origin_of(message), "Dead letter for a workflow that does not exist")
        return Settlement.ACK


def _workflow_in(body: bytes) -> UUID:
    try:
        return UUID(orjson.loads(body)["workflowId"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedMessage(f"no workflow id in it ({type(error).__name__})") from error


def _correlation_id(message: Incoming) -> str:
    return accepted_correlation_id(message.correlation_id, accepted_correlation_id(message.message_id, str(uuid4())))
