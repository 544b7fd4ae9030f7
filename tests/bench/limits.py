"""What the servers allow: the bare batched statement, and bare publishing and consuming, in the same run."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiormq
import asyncpg
from aiormq import spec
from chains import STATE, STEPS
from local_stack.servers import RunningServers
from ratchet.adapters.postgres import commits, starts
from ratchet.adapters.postgres.engine import connect_pool
from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.workflow import WorkflowStatus
from ratchet.ports import Claim, NewWorkflow, StepCommit
from ratchet.state import canonical

from tests.bench.stage import Stage, clean_stage

LEASE = timedelta(seconds=30)
BATCH = 200
LANES = 2


@dataclass(frozen=True)
class Limits:
    """Each a second."""

    steps: float
    published: float
    consumed: float


def measure(servers: RunningServers, *, workflows: int = 4000, messages: int = 10_000) -> Limits:
    """The same statement as the executor's, prepared beforehand, and the same messages, with nothing around them."""
    with clean_stage(servers) as stage:
        return asyncio.run(_measure(stage, workflows, messages))


async def _measure(stage: Stage, workflows: int, messages: int) -> Limits:
    pool = await connect_pool(stage.database_url, application="limit", size=LANES)
    try:
        steps = await _bare_statement(pool, workflows)
    finally:
        await pool.close()
    published, consumed = await _bare_messages(stage.amqp_url, messages)
    return Limits(steps, published, consumed)


async def _bare_statement(pool: asyncpg.Pool, workflows: int) -> float:
    claims = [_claim() for _ in range(workflows)]
    batches = [claims[first : first + BATCH] for first in range(0, workflows, BATCH)]
    for batch in batches:
        await starts.start(pool, [_start(claim) for claim in batch], executor="limit", lease=LEASE)
    work = [[[_commit(claim, number) for claim in batch] for number in range(STEPS)] for batch in batches]
    began = time.perf_counter()
    await asyncio.gather(*(_run(pool, work[lane::LANES]) for lane in range(LANES)))
    return workflows * STEPS / (time.perf_counter() - began)


async def _run(pool: asyncpg.Pool, work: list[list[list[StepCommit]]]) -> None:
    for chain in work:
        for batch in chain:
            answers = await commits.commit_steps(pool, batch, executor="limit", lease=LEASE)
            assert all(answers)


def _claim() -> Claim:
    return Claim(
        uuid.uuid4(), uuid.uuid4(), "bench-plain", 1, "bench", "c", 0, "step_0", 0, 0, 0, 0, None, json.dumps(STATE)
    )


def _start(claim: Claim) -> NewWorkflow:
    return NewWorkflow(
        claim.workflow_id, "bench-plain", 1, "bench", claim.state, b"", "c", "m", "step_0", False, claim.token
    )


def _commit(claim: Claim, number: int) -> StepCommit:
    place = Position(claim.workflow_id, number + 1, number, f"step_{number}")
    is_last = number == STEPS - 1
    return StepCommit(
        claim=claim._replace(step_index=number, last_seq=number, checkpoint_seq=number or None),
        step_id=place.step_id,
        attempt=1,
        state=claim.state,
        checksum=checksum(place, canonical(STATE)),
        started_at=datetime.now(UTC),
        status=WorkflowStatus.COMPLETED if is_last else WorkflowStatus.EXECUTING,
        next_step=None if is_last else f"step_{number + 1}",
        release=is_last,
    )


async def _bare_messages(amqp_url: str, messages: int) -> tuple[float, float]:
    connection = await aiormq.connect(amqp_url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.queue_declare("limit", durable=True, arguments={"x-queue-type": "quorum"})
    body = json.dumps({"workflowId": str(uuid.uuid4()), "definition": "x", "ownerId": "bench", "input": STATE}).encode()
    published = await _publish(channel, body, messages)
    consumed = await _consume(connection, messages)
    await connection.close()
    return published, consumed


async def _publish(channel: Any, body: bytes, messages: int) -> float:
    slots = asyncio.Semaphore(200)

    async def one() -> None:
        async with slots:
            properties = spec.Basic.Properties(message_id=str(uuid.uuid4()), delivery_mode=2)
            await channel.basic_publish(body, routing_key="limit", properties=properties, mandatory=True)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(messages)))
    return messages / (time.perf_counter() - began)


async def _consume(connection: Any, messages: int) -> float:
    channel = await connection.channel()
    await channel.basic_qos(prefetch_count=200)
    left, done = messages, asyncio.get_running_loop().create_future()

    async def on_message(message: Any) -> None:
        nonlocal left
        left -= 1
        await channel.basic_ack(message.delivery_tag, wait=False)
        if left == 0:
            done.set_result(None)

    began = time.perf_counter()
    await channel.basic_consume("limit", on_message)
    await done
    return messages / (time.perf_counter() - began)
