"""Commands straight to the broker, for upstream services: confirmed, else repeated with the same message id."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID, uuid4

from aio_pika.exceptions import AMQPException, ChannelNotFoundEntity
from aiormq.exceptions import PublishError

from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.client.backoff import full_jitter
from ratchet.client.command_messages import Envelope, Receipt, bulks, checked, message, single
from ratchet.client.errors import NotConfigured, NotConfirmed, NotRouted, ServerUnreachable
from ratchet.client.http_calls import Timing
from ratchet.domain.masking import mask_secrets
from ratchet.messages.commands import ExecuteStep, RecoveryCommand, RestartScan, StartWorkflow
from ratchet.messages.envelope import Outgoing, Unconfirmed
from ratchet.messages.routes import COMMANDS, START, UPSTREAM_STEP, recovery_key

GIVE_UP_AFTER = timedelta(seconds=30)

IN_FLIGHT = 4
"""Bulk messages that wait for their confirm at the same time."""


class Confirming(Protocol):
    """The part of the publisher that is used here."""

    async def publish(self, messages: Sequence[Outgoing]) -> None: ...  # noqa: D102 - see Publisher
    async def close(self) -> None: ...  # noqa: D102 - see Publisher


class CommandPublisher:
    """Sends commands with publisher confirms. Open it once, use it from many tasks, close it at the end.

    Every method returns once the broker has the command safe, and raises:
        InvalidCommand: it would be parked, so it was not sent.
        NotRouted: no queue takes it.
        NotConfirmed: not confirmed within `give_up_after`; repeat with the same message id.
    """

    def __init__(
        self, publisher: Confirming, *, give_up_after: timedelta = GIVE_UP_AFTER, timing: Timing | None = None
    ) -> None:
        self._publisher = publisher
        self._give_up_after = give_up_after
        self._timing = timing or Timing()

    @classmethod
    async def open(cls, amqp_url: str, *, name: str = "ratchet-client") -> Self:
        """Connect; `name` is what the broker's own tools show. The connection comes back by itself later on.

        Raises:
            ServerUnreachable: the broker does not answer or refuses the login.
            NotRouted: nothing of Ratchet stands in the broker yet.
        """
        try:
            publisher = await Publisher.open(amqp_url, name=name)
        except (OSError, AMQPException, TimeoutError, ValueError) as error:
            reason = mask_secrets(f"{type(error).__name__}: {error}")
            raise ServerUnreachable(f"RabbitMQ cannot be reached ({reason}). Check RATCHET_AMQP_URL") from error
        try:
            async with publisher.connection.channel() as channel:
                await channel.get_exchange(COMMANDS, ensure=True)
        except ChannelNotFoundEntity as error:
            await publisher.close()
            raise NotRouted(
                f"The broker has no exchange {COMMANDS}: start Ratchet's services against it first (`make up`)"
            ) from error
        return cls(publisher)

    @classmethod
    @asynccontextmanager
    async def from_env(
        cls, environ: Mapping[str, str] | None = None, *, name: str = "ratchet-client"
    ) -> AsyncIterator[Self]:
        """Open a publisher for `RATCHET_AMQP_URL` and close it at the end of the `async with`.

        Raises:
            NotConfigured: the variable is not set; else as `open`.
        """
        url = (os.environ if environ is None else environ).get("RATCHET_AMQP_URL")
        if not url:
            raise NotConfigured("RATCHET_AMQP_URL is not set: it names the RabbitMQ server that takes the commands")
        async with await cls.open(url, name=name) as publisher:
            yield publisher

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; what was confirmed is safe."""
        await self._publisher.close()

    async def start(
        self,
        definition: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's word
        *,
        owner_id: str,
        workflow_id: UUID | None = None,
        version: int | None = None,
        envelope: Envelope | None = None,
    ) -> Receipt:
        """Begin a workflow. The same `workflow_id` with the same content again changes nothing."""
        command = checked(
            StartWorkflow,
            workflow_id=workflow_id or uuid4(),
            definition=definition,
            version=version,
            owner_id=owner_id,
            input=dict(input or {}),
        )
        outgoing = message(START, StartWorkflow.__name__, single(command), envelope or Envelope())
        await self._publish([outgoing])
        return Receipt(outgoing.message_id, outgoing.correlation_id, (command.workflow_id,))

    async def start_many(
        self, starts: Iterable[StartWorkflow], *, correlation_id: str | None = None
    ) -> tuple[Receipt, ...]:
        """Begin many workflows in bulk messages of up to 1,000. Each start stands alone: a bad one is parked alone.

        When this raises, some may have been taken; starting all of them again is safe, since their ids are the same.
        """
        envelope = Envelope(correlation_id=correlation_id)
        receipts: list[Receipt] = []
        waiting: list[Outgoing] = []
        for ids, body in bulks(starts):
            outgoing = message(START, StartWorkflow.__name__, body, envelope)
            waiting.append(outgoing)
            receipts.append(Receipt(outgoing.message_id, outgoing.correlation_id, ids))
            if len(waiting) == IN_FLIGHT:
                await self._publish(waiting)
                waiting = []
        await self._publish(waiting)
        return tuple(receipts)

    async def execute_step(
        self,
        workflow_id: UUID,
        step_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        envelope: Envelope | None = None,
    ) -> Receipt:
        """Drive a step that was declared to wait for a command; one that comes early is kept for it."""
        command = checked(ExecuteStep, workflow_id=workflow_id, step_id=step_id, inputs=dict(inputs or {}))
        outgoing = message(UPSTREAM_STEP, ExecuteStep.__name__, single(command), envelope or Envelope())
        await self._publish([outgoing])
        return Receipt(outgoing.message_id, outgoing.correlation_id, (workflow_id,))

    async def scan(self, *, reason: str = "on demand") -> Receipt:
        """Ask the recovery service to look for interrupted workflows now."""
        kind = RecoveryCommand.RESTART_SCAN
        outgoing = message(recovery_key(kind), kind.value, single(checked(RestartScan, reason=reason)), Envelope())
        await self._publish([outgoing])
        return Receipt(outgoing.message_id, outgoing.correlation_id, ())

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._give_up_after.total_seconds()
        failures, waiting = 0, list(messages)
        while waiting:
            try:
                await self._publisher.publish(waiting)
            except Unconfirmed as error:
                _raise_if_unroutable(error)
                failures += 1
                waiting = [outgoing for outgoing in waiting if outgoing.message_id not in error.confirmed]
                wait = full_jitter(failures, self._timing.fraction()).total_seconds()
                if clock() + wait > deadline:
                    ids = frozenset(outgoing.message_id for outgoing in waiting)
                    raise NotConfirmed(f"RabbitMQ did not confirm in {self._give_up_after}: {error}", ids) from error
                await self._timing.sleep(wait)
            else:
                return


def _raise_if_unroutable(error: Unconfirmed) -> None:
    if any(isinstance(failure, PublishError) for failure in error.failures):
        raise NotRouted(
            "The broker has no queue for this command: start an executor and the recovery service first (`make up`)"
        ) from error
