"""An upstream service: it publishes commands with pika and knows nothing of Ratchet but its contract."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pika  # type: ignore[import-untyped]  # it has no types
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # it has no types

from tests.harness.waiting import until

COMMANDS = "ratchet.commands"
PARKED = "ratchet.parked"


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that was set aside."""

    message_id: str
    body: bytes
    headers: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """Why."""
        return str(self.headers.get("x-ratchet-reason", ""))


@dataclass(slots=True)
class Upstream:
    """Every call opens a connection of its own and returns once the broker has confirmed."""

    amqp_url: str
    _parked: list[Parked] = field(default_factory=list)

    def start(self, owner: str, definition: str, input: Mapping[str, Any], **envelope: Any) -> UUID:  # noqa: A002  # as on the wire
        """Ask for a workflow; answers its id."""
        workflow_id = envelope.pop("workflow_id", None) or uuid.uuid4()
        self.send("workflow.start", start_body(workflow_id, owner, definition, input), **envelope)
        return UUID(str(workflow_id))

    def execute_step(self, workflow_id: UUID, step_id: str, inputs: Mapping[str, Any], **envelope: Any) -> None:
        """Drive a waiting step."""
        body = {"workflowId": str(workflow_id), "stepId": step_id, "inputs": dict(inputs)}
        self.send("step.execute", body, **envelope)

    def send(self, routing_key: str, body: Any, **properties: Any) -> None:
        """Publish one command; `body` is JSON unless it is bytes. `message_id=None` leaves the id out."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        properties.setdefault("message_id", str(uuid.uuid4()))
        message = pika.BasicProperties(content_type="application/json", delivery_mode=2, **properties)
        with self._channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(COMMANDS, routing_key, content, message, mandatory=True)

    def put_among_parked(self, body: bytes) -> None:
        """Publish straight into the queue of parked messages, which no service would do like this."""
        with self._channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish("", PARKED, body, pika.BasicProperties(delivery_mode=2), mandatory=True)

    def start_many(self, bodies: Sequence[Any], **envelope: Any) -> None:
        """Ask for many workflows in one message."""
        self.send("workflow.start", list(bodies), **envelope)

    def consumers_of(self, queue: str) -> int:
        """How many consumers a queue has."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.consumer_count)

    def parked_as(self, message_id: str) -> Parked:
        """The message set aside under this id, once it is there."""
        return self._wait_for_parked(lambda parked: parked.message_id == message_id, message_id)

    def parked_with(self, text: str) -> Parked:
        """The message set aside that has this text in its body, once it is there."""
        return self._wait_for_parked(lambda parked: text.encode() in parked.body, text)

    def _wait_for_parked(self, fits: Callable[[Parked], bool], what: str) -> Parked:
        def look() -> list[Parked]:
            return [parked for parked in self.parked() if fits(parked)]

        return until(look, bool, what=f"a message in {PARKED} that has {what}")[0]

    def parked(self) -> list[Parked]:
        """Every message set aside so far, also those of other tests."""
        with self._channel() as channel:
            while True:
                method, properties, body = channel.basic_get(PARKED, auto_ack=True)
                if method is None or properties is None or body is None:
                    return self._parked
                self._parked.append(Parked(properties.message_id or "", body, properties.headers or {}))

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            yield connection.channel()
        finally:
            connection.close()


def start_body(
    workflow_id: object,
    owner: str,
    definition: str,
    input: Mapping[str, Any],  # noqa: A002  # as on the wire
) -> dict[str, Any]:
    """The body of a `workflow.start`."""
    return {"workflowId": str(workflow_id), "definition": definition, "ownerId": owner, "input": dict(input)}
