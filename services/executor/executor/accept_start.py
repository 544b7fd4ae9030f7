"""A `workflow.start`: one workflow, or an array of them, each accepted once and then advanced."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import uuid4

import structlog
from ratchet.authoring import Registry
from ratchet.domain.checkpoint import input_checksum
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.errors import MalformedMessage
from ratchet.messages.bulk_start import BulkStart
from ratchet.messages.commands import StartWorkflow, decode
from ratchet.messages.envelope import MAX_BODY_BYTES, Incoming
from ratchet.messages.routes import to_pool
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim, ExecutionStore, MessagePublisher, NewWorkflow, ParkingLot, StartVerdict
from ratchet.presence_ports import Catalog
from ratchet.state import canonical, encode_state

from executor.bulk_message import BulkMessage
from executor.decide import continue_command
from executor.delivery import CAME_BACK_HEADER, Delivery, Ending
from executor.holdings import Holdings
from executor.resume_workflow import ResumeWorkflow
from executor.run_workflow import RunWorkflow

log = structlog.get_logger()


def _nobody_waits() -> None:
    """A single start is told of by its acknowledgement."""


class Member(NamedTuple):
    """One start of an array."""

    message: Incoming
    bulk: BulkStart
    number: int

    def command(self) -> StartWorkflow:
        """Raises MalformedMessage."""
        return self.bulk.member(self.number)

    def text(self) -> bytes:
        """As it was sent."""
        return self.bulk.text(self.number)


class AcceptStart:
    """The use case. One instance serves all deliveries; `slots` bounds how many workflows run at once.

    The message of an array is let go after `patience`, or when a step asks for it.
    """

    def __init__(
        self,
        *,
        store: ExecutionStore,
        registry: Registry,
        run: RunWorkflow,
        resume: ResumeWorkflow,
        holdings: Holdings,
        parking: ParkingLot,
        catalog: Catalog,
        publisher: MessagePublisher,
        metrics: ExecutorMetrics,
        slots: int,
        patience: timedelta,
    ) -> None:
        self._store = store
        self._registry = registry
        self._run = run
        self._resume = resume
        self._holdings = holdings
        self._parking = parking
        self._catalog = catalog
        self._publisher = publisher
        self._metrics = metrics
        self._slots = asyncio.Semaphore(slots)
        self._patience = patience
        self._unpacking = asyncio.Lock()

    async def __call__(self, message: Incoming, delivery: Delivery) -> Ending:
        """Safe to repeat.

        Raises:
            MalformedMessage: the whole message cannot be understood. A bad member of an array is parked by itself.
        """
        if message.body.lstrip()[:1] == b"[":
            return await self._accept_all(message, delivery)
        if len(message.body) > MAX_BODY_BYTES:
            raise MalformedMessage(f"The body has {len(message.body)} bytes; a command has at most {MAX_BODY_BYTES}")
        return await self._accept(decode(StartWorkflow, message.body), delivery)

    async def _accept_all(self, message: Incoming, delivery: Delivery) -> Ending:
        bulk_message = BulkMessage(delivery.acknowledge_message)
        shared = replace(delivery, is_shared=True, acknowledge_message=bulk_message.let_go)
        begun: list[asyncio.Task[None]] = []
        too_long = asyncio.create_task(self._let_go_after_a_while(bulk_message))
        try:
            # Arrays are unpacked one after the other: those whose turn has not come wait as the bytes they came in.
            async with self._unpacking, self._catalog.unpacking():
                bulk = BulkStart(message.body)
                for index in range(bulk.size):
                    has_place = await bulk_message.place(self._slots)
                    bulk_message.begins(index)
                    member = self._accept_member(Member(message, bulk, index), shared, bulk_message, claims=has_place)
                    begun.append(asyncio.create_task(member))
                    if has_place:
                        begun[-1].add_done_callback(lambda _done: self._slots.release())
            bulk_message.is_unpacked()
            outcomes = await asyncio.gather(*begun, return_exceptions=True)
        except asyncio.CancelledError:
            for task in begun:
                task.cancel()
            raise
        finally:
            too_long.cancel()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                # The others have ended; when the message comes again only the unfinished ones do anything.
                raise outcome
        return Ending.DONE

    async def _let_go_after_a_while(self, bulk_message: BulkMessage) -> None:
        await asyncio.sleep(self._patience.total_seconds())
        await bulk_message.let_go()

    async def _accept_member(
        self, member: Member, delivery: Delivery, bulk_message: BulkMessage, *, claims: bool
    ) -> None:
        stored = partial(bulk_message.is_stored, member.number)
        try:
            await self._accept(member.command(), delivery, stored=stored, claims=claims)
        except MalformedMessage as error:
            await self._parking.park(member.message, str(error), part=member.text())
        finally:
            stored()

    async def _accept(
        self,
        command: StartWorkflow,
        delivery: Delivery,
        *,
        stored: Callable[[], None] = _nobody_waits,
        claims: bool = True,
    ) -> Ending:
        definition, is_here = await self._look_up(command)
        workflow = _resolved(command, definition, delivery, claims=is_here and claims)
        workflow_id, command_id = workflow.workflow_id, workflow.command_id
        # From before it is stored: the same message may come once more in the very moment in which the row appears.
        with self._holdings.reserve(workflow_id, command_id) as under_way:
            if under_way is None:
                asked_at = time.monotonic()
                verdict = await self._store.start(workflow)
                stored()
                claim = _fresh_claim(workflow)
                if verdict is StartVerdict.NEW and claim is not None:
                    self._metrics.started.inc()
                    ending = await self._run(claim, delivery, asked_at)
                    return self._holdings.ended(workflow_id, command_id, ending)
        stored()
        match StartVerdict.AGAIN if under_way is not None else verdict:
            case StartVerdict.NEW:
                self._metrics.started.inc()
                return await self._hand_on(workflow, definition.steps[0], delivery)
            case StartVerdict.AGAIN if claims:
                return await self._resume(workflow_id, delivery)
            case StartVerdict.AGAIN:
                return await self._hand_on(workflow, definition.steps[0], delivery)
            case StartVerdict.KNOWN:
                self._metrics.stale.labels("known").inc()
                return Ending.DONE
            case StartVerdict.CONFLICT:
                raise MalformedMessage(f"Workflow {command.workflow_id} exists with other content")

    async def _look_up(self, command: StartWorkflow) -> tuple[WorkflowDefinition, bool]:
        """The definition, and whether its code is here; else the others are asked what they have registered.

        That this executor does not have it proves nothing: during a release others do.
        """
        name, version = command.definition, command.version
        if version is None:
            version = self._catalog.newest(name)
        definition = self._registry.find(name, version)
        if definition is not None:
            return definition, True
        definition = await self._catalog.find(name, command.version)
        if definition is None:
            which = "" if command.version is None else f" version {command.version}"
            raise MalformedMessage(f"No executor ever registered a workflow {name!r}{which}")
        return definition, self._registry.find(name, definition.version) is not None

    async def _hand_on(self, workflow: NewWorkflow, first: StepDefinition, delivery: Delivery) -> Ending:
        """To the executors that have the code; if this process ends before, the start comes again and finds its row."""
        if not workflow.first_step_waits:
            again = continue_command(
                workflow.workflow_id,
                workflow.command_id,
                to_pool(first.pool),
                correlation_id=workflow.correlation_id,
            )
            if delivery.redelivered:
                again = replace(again, headers={CAME_BACK_HEADER: True})
            await self._publisher.publish([again])
        return Ending.DONE


def _resolved(
    command: StartWorkflow, definition: WorkflowDefinition, delivery: Delivery, *, claims: bool
) -> NewWorkflow:
    first = definition.steps[0]
    return NewWorkflow(
        workflow_id=command.workflow_id,
        definition=definition.name,
        version=definition.version,
        owner_id=command.owner_id,
        input=encode_state(command.input).decode(),
        input_checksum=input_checksum(command.workflow_id, canonical(command.input)),
        content_hash=command.content_hash(),
        correlation_id=delivery.correlation_id,
        command_id=delivery.command_id,
        first_step=first.id,
        first_step_waits=first.waits_for_command,
        claim=uuid4() if claims and not first.waits_for_command else None,
    )


def _fresh_claim(workflow: NewWorkflow) -> Claim | None:
    """The claim that came with the insert, so that nothing has to be read back."""
    if workflow.claim is None:
        return None
    return Claim(
        workflow_id=workflow.workflow_id,
        token=workflow.claim,
        definition=workflow.definition,
        version=workflow.version,
        owner_id=workflow.owner_id,
        correlation_id=workflow.correlation_id,
        step_index=0,
        current_step=workflow.first_step,
        retry_count=0,
        failed_attempts=0,
        commits=0,
        last_seq=0,
        checkpoint_seq=None,
        state=workflow.input,
    )
