"""Runs the scenarios side by side: starts each over RabbitMQ, listens to the pushed events, helps where help is due."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from ratchet.client import Client, ClientError, CommandPublisher, Endpoints, Problem
from ratchet.domain.workflow import FINAL, WorkflowStatus

from local_stack.demo.board import Board, Row
from local_stack.demo.outside_world import OutsideWorld
from local_stack.demo.scenarios import Help
from local_stack.demo.verdict import problems_of

OWNER = "sarah"
LOOK_EVERY = 0.2
# Long enough to be seen in the table.
THINK = 1.5
EACH_WITHIN = timedelta(seconds=60)
EVENTS_WITHIN = timedelta(seconds=10)
RESTING = FINAL | {WorkflowStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the platform is, and how to kill the executor that flies parcels."""

    endpoints: Endpoints
    amqp_url: str
    world: OutsideWorld
    kill_carrier: Callable[[], None]


class Play:
    """One performance. `told` is called with a row whenever something new is known of it."""

    def __init__(self, platform: Platform, board: Board, told: Callable[[Row], None]) -> None:
        self._platform = platform
        self._board = board
        self._told = told

    async def run(self) -> None:
        """Returns when every scenario has ended, well or not; each row then says which."""
        platform = self._platform
        async with (
            await CommandPublisher.open(platform.amqp_url, name="ratchet-demo") as upstream,
            Client(platform.endpoints) as client,
        ):
            listening = asyncio.create_task(self._listen(client))
            try:
                await asyncio.gather(*(self._perform(row, client, upstream) for row in self._board.rows))
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening

    async def _listen(self, client: Client) -> None:
        async for event in client.notifications(after=0):
            row = self._board.hear(event)
            if row is not None:
                self._told(row)

    async def _perform(self, row: Row, client: Client, upstream: CommandPublisher) -> None:
        try:
            async with asyncio.timeout(EACH_WITHIN.total_seconds()):
                await self._start(row, upstream)
                await self._help(row, client)
                await self._follow(row, client)
            row.ended = time.monotonic()
            await self._judge(row, client)
        except TimeoutError:
            row.problems = (f"had not ended after {EACH_WITHIN.total_seconds():.0f} s: {row.status} at {row.step}",)
        except ClientError as error:
            row.problems = (str(error),)
        row.ended = row.ended or time.monotonic()
        self._told(row)

    async def _start(self, row: Row, upstream: CommandPublisher) -> None:
        scenario, world = row.scenario, self._platform.world
        if scenario.outage is not None:
            world.break_down(scenario.outage.service, scenario.order, scenario.outage.status, scenario.outage.times)
        row.began = time.monotonic()
        order = {"order": scenario.order, "world": world.url}
        await upstream.start(scenario.definition, order, owner_id=OWNER, workflow_id=row.workflow_id)

    async def _help(self, row: Row, client: Client) -> None:
        scenario, world = row.scenario, self._platform.world
        match scenario.help:
            case Help.NONE:
                return
            case Help.KILL:
                while not world.calls_for("take-off", scenario.order):
                    await self._look(row, client)
                await asyncio.sleep(THINK / 2)
                self._platform.kill_carrier()
                self._note(row, "its executor was killed (SIGKILL)")
            case Help.RECOVER | Help.SKIP:
                await self._follow(row, client)
                await asyncio.sleep(THINK)
                if scenario.help is Help.SKIP:
                    self._note(row, "its owner skips the step")
                    result = await client.skip(row.workflow_id, reason="The customer wants no survey")
                    row.status = result.status or row.status
                elif scenario.outage is not None:
                    world.repair(scenario.outage.service, scenario.order)
                    self._note(row, "repaired; recovered over the API")
                    result = await client.recover(row.workflow_id, reason="The payment provider is back")
                    row.status = result.status or row.status

    async def _follow(self, row: Row, client: Client) -> None:
        """Look until it moves no more by itself."""
        while row.status not in RESTING:
            await self._look(row, client)

    async def _look(self, row: Row, client: Client) -> None:
        await asyncio.sleep(LOOK_EVERY)
        before = (row.status, row.step)
        try:
            row.see(await client.get(row.workflow_id))
        except Problem as problem:
            # A command sent over the broker is on its way until an executor has taken it.
            if problem.status != 404:
                raise
        if (row.status, row.step) != before:
            self._told(row)

    async def _judge(self, row: Row, client: Client) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVENTS_WITHIN.total_seconds()):
                while row.told != row.scenario.events:  # noqa: ASYNC110  # the listening task changes it
                    await asyncio.sleep(LOOK_EVERY)
        history = await client.history(row.workflow_id)
        row.problems = problems_of(row, history, self._platform.world.bookings(row.scenario.order))

    def _note(self, row: Row, what: str) -> None:
        row.note = what
        self._told(row)
