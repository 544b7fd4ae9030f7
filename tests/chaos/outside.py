"""The outside world during the faults: an upstream that starts workflows, and somebody who follows all events.

Both use the client library, as any customer would. What was accepted is in the ledger; all of it has to complete.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from ratchet.client import Client, ClientError, CommandPublisher, Endpoints, Envelope

from tests.chaos.field import Field
from tests.chaos.under_fire import DEFINITION

OVER_HTTP = 0.2
TWICE = 0.1
SLOWEST_STEP = 0.06
AGAIN_AFTER = 0.2


@dataclass(slots=True)
class Ledger:
    """What the outside world knows: which workflows were accepted, and what was told about them.

    `told` counts the completions of each workflow; `positions` are the feed's numbers in the order in which they came.
    """

    accepted: set[UUID] = field(default_factory=set)
    told: dict[UUID, int] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)
    reconnects: int = 0

    @property
    def untold(self) -> int:
        """How many accepted workflows nobody was told the end of."""
        # Copied in one go each: the outside world goes on writing, in its own thread, while this is asked.
        return len(self.accepted.copy() - self.told.copy().keys())


class Upstream:
    """Starts workflows at a steady rate, a few twice and a few over HTTP, and repeats what was not confirmed."""

    def __init__(self, publisher: CommandPublisher, client: Client, ledger: Ledger, chance: random.Random) -> None:
        self._publisher = publisher
        self._client = client
        self._ledger = ledger
        self._chance = chance
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, ends: asyncio.Event) -> None:
        """Start until `ends` is set; returns when everything asked for was accepted."""
        while not ends.is_set():
            self._begin()
            with suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), 1 / rate)
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _begin(self) -> None:
        task = asyncio.create_task(self._start(uuid4()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _start(self, workflow_id: UUID) -> None:
        way = self._over_http if self._chance.random() < OVER_HTTP else self._over_amqp
        state = {"pace": self._chance.uniform(0.01, SLOWEST_STEP), "done": []}
        for _ in range(2 if self._chance.random() < TWICE else 1):
            await until_accepted(lambda: way(workflow_id, state))
        self._ledger.accepted.add(workflow_id)

    async def _over_amqp(self, workflow_id: UUID, state: dict[str, object]) -> object:
        envelope = Envelope(message_id=f"start-{workflow_id}")
        return await self._publisher.start(
            DEFINITION, state, owner_id="upstream", workflow_id=workflow_id, envelope=envelope
        )

    async def _over_http(self, workflow_id: UUID, state: dict[str, object]) -> object:
        return await self._client.start(DEFINITION, state, owner_id="upstream", workflow_id=workflow_id)


async def until_accepted(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask again, with the same ids, until the answer is yes."""
    while True:
        try:
            await ask()
        except ClientError:
            await asyncio.sleep(AGAIN_AFTER)
        else:
            return


async def follow(client: Client, ledger: Ledger) -> None:
    """Write down every event of the feed of all events, over whatever breaks."""

    def count(_why: object) -> None:
        ledger.reconnects += 1

    async for event in client.notifications(after=0, everybody=True, on_reconnect=count):
        ledger.positions.append(event.id)
        if event.type == "WORKFLOW_COMPLETED":
            workflow_id = UUID(event.workflow_id)
            ledger.told[workflow_id] = ledger.told.get(workflow_id, 0) + 1


class Outside:
    """The outside world at work, in a thread with an event loop of its own."""

    def __init__(self, place: Field, rate: float) -> None:
        self.ledger = Ledger()
        self._place = place
        self._rate = rate
        self._chance = random.Random(place.chance.random())
        self._begun, self._all_accepted = threading.Event(), threading.Event()
        self._stops, self._ends = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="outside", daemon=True)

    def begin(self) -> None:
        """Start, and return when workflows are being started."""
        self._thread.start()
        assert self._begun.wait(30), "the outside world could not connect"

    def stop_starting(self, within: float) -> bool:
        """No more workflows; whether everything asked for was accepted in time."""
        self._set(self._stops)
        return self._all_accepted.wait(within)

    def end(self) -> None:
        """Close all connections."""
        self._set(self._stops)
        self._set(self._ends)
        self._thread.join()

    def _set(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(event.set)

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        platform = self._place.platform
        endpoints = Endpoints(platform.api_url, platform.notifier_url, lambda: platform.token("chaos", "admin"))
        async with (
            await CommandPublisher.open(self._place.network.urls.amqp_url, name="chaos-upstream") as publisher,
            Client(endpoints) as client,
            asyncio.TaskGroup() as tasks,
        ):
            workers = [
                tasks.create_task(follow(client, self.ledger)),
                tasks.create_task(self._start_workflows(Upstream(publisher, client, self.ledger, self._chance))),
            ]
            self._begun.set()
            await self._ends.wait()
            for worker in workers:
                worker.cancel()

    async def _start_workflows(self, upstream: Upstream) -> None:
        await upstream.run(self._rate, self._stops)
        self._all_accepted.set()


@contextmanager
def outside_of(place: Field, rate: float) -> Iterator[Outside]:
    """Workflows are started, and events followed, for as long as the context is open."""
    outside = Outside(place, rate)
    outside.begin()
    try:
        yield outside
    finally:
        outside.end()
