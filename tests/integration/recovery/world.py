"""Executors, recovery and a broker in one process: everything real but the broker, which does what the test wants."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from executor.delivery import Delivery, Ending
from executor.holdings import Holdings
from executor.leave import Leave
from executor.outlet import Outlet
from executor.resume_workflow import ResumeWorkflow
from executor.rules import Rules
from executor.run_workflow import RunWorkflow
from executor.step_threads import StepThreads
from ratchet import PermanentError, Retry, StepContext, TransientError, Workflow
from ratchet.adapters.postgres import outbox
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.adapters.postgres.presence import PostgresPresence
from ratchet.authoring import Registry
from ratchet.crash_points import CrashPoint
from ratchet.domain.recovery import RecoveryKind
from ratchet.messages.commands import CONTINUE
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import DEAD
from ratchet.observability.metrics import ExecutorMetrics, new_registry
from ratchet.ports import NewWorkflow

from tests.integration.recovery.recovery_stage import RecoveryStage

HOUR = timedelta(hours=1)
STEPS_PER_DELIVERY = 2


class Died(BaseException):
    """The process ended here."""


@dataclass(frozen=True)
class Message:
    id: str
    workflow_id: UUID
    redelivered: bool = False


@dataclass
class Script:
    """What happens during one delivery: outcomes of the steps it runs, and where its process dies."""

    outcomes: list[str] = field(default_factory=list)
    dies_at: CrashPoint | None = None
    lingers: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    world: "World | None" = None

    def reach(self, point: CrashPoint) -> None:
        if point is self.dies_at:
            raise Died

    async def see_key(self, ctx: StepContext) -> None:
        """A step's key counts its commits so far, so it stays until the step has committed."""
        assert self.world is not None
        commits = await self.world.pool.fetchval(COMMITS, ctx.workflow_id, ctx.step)
        if ctx.idempotency_key != f"{ctx.workflow_id}:{ctx.step}:{commits}":
            self.world.wrong_keys.append(f"{ctx.idempotency_key} after {commits} commits")


COMMITS = "SELECT count(*) FROM checkpoints WHERE workflow_id = $1 AND step_id = $2 AND NOT skipped"

RESTORABLE = """
SELECT id, last_seq FROM workflow_instances
WHERE status IN ('Failed', 'Paused', 'Completed', 'Cancelled') AND last_seq > 0 ORDER BY created_at
"""

TRUSTED_DAMAGE = """
SELECT count(*) FROM recovery_attempts r
JOIN checkpoints c ON (c.workflow_id, c.seq) = (r.workflow_id, r.checkpoint_seq)
WHERE r.attempted_at > $1 AND r.outcome = 'resumed' AND c.state ? 'damaged' AND r.kind <> 'takeover'
    AND (r.status_before <> 'Paused' OR r.kind = 'restore')
"""

SCRIPT: ContextVar[Script] = ContextVar("script")


async def perform(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    """Every step of the test's workflow: notes in the state that it was done, on whose behalf, and after what."""
    assert "damaged" not in state, "a step was given the state of a damaged checkpoint"
    script = SCRIPT.get()
    await script.see_key(ctx)
    outcome = script.outcomes.pop(0) if script.outcomes else "done"
    if outcome == "lingers":
        script.lingers.set()
        await script.goes_on.wait()
        outcome = script.outcomes.pop(0) if script.outcomes else "done"
    if outcome == "transient":
        raise TransientError("away")
    if outcome == "permanent":
        raise PermanentError("broken")
    return {"path": [*state.get("path", []), ctx.step], "key": ctx.idempotency_key}


def workflow() -> Workflow:
    made = Workflow("chain")
    for step in ("a", "b", "c", "d"):
        made.step(id=step, retry=Retry(0, 5), optional=step == "c")(perform)
    return made


@dataclass
class Running:
    """A delivery whose step takes its time."""

    message: Message
    script: Script
    task: asyncio.Task[Ending]


@dataclass
class World:
    pool: asyncpg.Pool
    waiting: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    workflows: list[UUID] = field(default_factory=list)
    wrong_keys: list[str] = field(default_factory=list)
    processes: int = 0

    def __post_init__(self) -> None:
        self.registry = Registry([workflow()])
        self.stage = RecoveryStage(self.pool, listener=self)  # type: ignore[arg-type]  # it listens, too
        self.metrics = ExecutorMetrics(new_registry())

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """The broker takes everything; events go nowhere."""
        for message in messages:
            if message.type == CONTINUE or message.route.exchange == DEAD:
                taken = Message(message.message_id, UUID(json.loads(message.body)["workflowId"]))
                (self.dead if message.route.exchange == DEAD else self.waiting).append(taken)

    async def start(self) -> None:
        message = Message(str(uuid.uuid4()), uuid.uuid4())
        new = NewWorkflow(
            *(message.workflow_id, "chain", 1, "sarah", "{}", b"content", "c-1", message.id),
            first_step="a",
            first_step_waits=False,
            claim=None,
        )
        await self._store().start(new)
        self.workflows.append(message.workflow_id)
        self.waiting.append(message)

    async def deliver(self, message: Message, script: Script) -> None:
        """A fresh process gets the message, and works until it is done, dies, or a step takes its time."""
        self.waiting.remove(message)
        task = asyncio.create_task(self._work(message, script))
        lingering = asyncio.create_task(script.lingers.wait())
        await asyncio.wait({task, lingering}, return_when=asyncio.FIRST_COMPLETED)
        lingering.cancel()
        if task.done():
            self._settled(message, task)
        else:
            self.running.append(Running(message, script, task))

    async def go_on(self, item: Running) -> None:
        """A step that took its time comes to its end. It may commit only if its claim is the one that holds."""
        self.running.remove(item)
        query = "SELECT claim_token, last_seq FROM workflow_instances WHERE id = $1"
        before = await self.pool.fetchrow(query, item.message.workflow_id)
        assert before is not None
        item.script.goes_on.set()
        await asyncio.wait({item.task})
        self._settled(item.message, item.task)
        token = await self.pool.fetchval(
            "SELECT claim_token FROM checkpoints WHERE workflow_id = $1 AND seq > $2 ORDER BY seq LIMIT 1",
            item.message.workflow_id,
            before["last_seq"],
        )
        assert token in {None, before["claim_token"]}, "a zombie has committed"

    async def kill(self, item: Running) -> None:
        """The process of a step that takes its time is killed; the broker gives its message to somebody else."""
        self.running.remove(item)
        item.task.cancel()
        await asyncio.wait({item.task})
        self.waiting.append(replace(item.message, redelivered=True))

    async def time_passes(self) -> None:
        """Leases run out, retries become due, and what nobody touched becomes stale."""
        await self.pool.execute(
            "UPDATE workflow_instances SET updated_at = updated_at - $1::interval, lease_until = lease_until - $1,"
            " next_attempt_at = next_attempt_at - $1, failed_at = failed_at - $1",
            HOUR,
        )

    async def relay(self) -> None:
        """What a crash left in the outbox is published."""
        await outbox.relay(self.pool, self, older_than=timedelta(0), limit=500)

    async def hand_over_dead_letters(self) -> None:
        for message in list(self.dead):
            self.dead.remove(message)
            await self.stage.look_after(message.workflow_id, message.id)

    async def command(self, kind: RecoveryKind, workflow_id: UUID, **more: Any) -> None:
        async with self._on_intact_checkpoints():
            await self.stage.command(kind, workflow_id, **more)

    async def scan(self) -> None:
        async with self._on_intact_checkpoints():
            await self.stage.scan()

    async def restore(self, number: int, seq: int) -> None:
        """Restore a workflow that can be, if there is one."""
        rows = await self.pool.fetch(RESTORABLE)
        if rows:
            row = rows[number % len(rows)]
            await self.command(RecoveryKind.RESTORE, row["id"], checkpoint_seq=seq % row["last_seq"] + 1, reason="r")

    @asynccontextmanager
    async def _on_intact_checkpoints(self) -> AsyncIterator[None]:
        """Nothing that is resumed within the block may stand on a damaged checkpoint."""
        began = await self.pool.fetchval("SELECT clock_timestamp()")
        yield
        trusted = await self.pool.fetchval(TRUSTED_DAMAGE, began)
        assert trusted == 0, "a recovery went on from a damaged checkpoint"

    async def damage(self, workflow_id: UUID, age: int) -> None:
        """A disk forgets what a checkpoint held; `age` 0 is the one that the workflow stands on."""
        await self.pool.execute(
            """UPDATE checkpoints c SET state = '{"damaged": true}' FROM workflow_instances w
            WHERE w.id = $1 AND c.workflow_id = $1 AND c.seq = w.checkpoint_seq - $2""",
            workflow_id,
            age,
        )

    async def close(self) -> None:
        for item in self.running:
            item.task.cancel()
        await asyncio.gather(*(item.task for item in self.running), return_exceptions=True)

    def _settled(self, message: Message, task: "asyncio.Task[Ending]") -> None:
        if task.cancelled():
            self.waiting.append(replace(message, redelivered=True))
            return
        error = task.exception()
        if isinstance(error, Died):
            self.waiting.append(replace(message, redelivered=True))
        elif error is not None:
            raise error
        elif task.result() is Ending.GIVEN_UP:
            self.dead.append(message)

    async def _work(self, message: Message, script: Script) -> Ending:
        script.world = self
        SCRIPT.set(script)
        resume, outlet = self._process(script)

        async def acknowledge() -> None:
            return None

        delivery = Delivery(message.id, "c-1", message.redelivered, "default", acknowledge)
        try:
            ending = await resume(message.workflow_id, delivery)
            script.reach(CrashPoint.BEFORE_SETTLE)
        finally:
            # So that one and the same run always goes the same way.
            await outlet.settle()
        return ending

    def _store(self) -> PostgresExecution:
        self.processes += 1
        name = f"executor-{self.processes}"
        return PostgresExecution(self.pool, self.pool, executor=name, lease=HOUR / 2, metrics=self.metrics)

    def _process(self, script: Script) -> tuple[ResumeWorkflow, Outlet]:
        store = self._store()
        holdings = Holdings(store, self.metrics, lease=HOUR / 2)
        outlet = Outlet(store, self)
        presence = PostgresPresence(self.pool, executor="the one")
        rules = Rules(frozenset({"default"}), Retry(0, 5), HOUR, STEPS_PER_DELIVERY, HOUR, (timedelta(seconds=5),))
        run = RunWorkflow(
            store=store,
            registry=self.registry,
            holdings=holdings,
            outlet=outlet,
            leave=Leave(store=store, outlet=outlet, rules=rules, presence=presence, metrics=self.metrics),
            rules=rules,
            metrics=self.metrics,
            threads=StepThreads(self.metrics, limit=10),
            reach=script.reach,
        )
        resume = ResumeWorkflow(
            store=store,
            run=run,
            holdings=holdings,
            outlet=outlet,
            publisher=self,
            rules=rules,
            metrics=self.metrics,
        )
        return resume, outlet
