"""The stores on a fresh database, and what it takes to use them."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from ratchet import StepContext, Workflow
from ratchet.adapters.postgres import definitions
from ratchet.adapters.postgres.engine import connect_pool
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.failure import classify
from ratchet.domain.workflow import WorkflowStatus
from ratchet.observability.metrics import ExecutorMetrics, new_registry
from ratchet.ports import Claim, ClaimRequest, FailureCommit, NewWorkflow, StepCommit
from ratchet.state import canonical

LEASE = timedelta(seconds=30)

sample = Workflow("sample")


@sample.step
async def first(ctx: StepContext, state: dict[str, Any]) -> None: ...


@sample.step(waits_for_command=True)
async def approve(ctx: StepContext, state: dict[str, Any]) -> None: ...


@sample.step(optional=True)
async def last(ctx: StepContext, state: dict[str, Any]) -> None: ...


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await connect_pool(database_url, application="test", size=10)
    await definitions.register(opened, [sample.definition])
    yield opened
    await opened.close()


MakeStore = Callable[..., PostgresExecution]


@pytest.fixture
def make_store(pool: asyncpg.Pool) -> MakeStore:
    """Stores of several executors on one database."""

    def make(executor: str = "executor-1", lease: timedelta = LEASE) -> PostgresExecution:
        return PostgresExecution(pool, pool, executor=executor, lease=lease, metrics=ExecutorMetrics(new_registry()))

    return make


@pytest.fixture
def store(make_store: MakeStore) -> PostgresExecution:
    return make_store()


def new_workflow(**changes: Any) -> NewWorkflow:
    """A start command that nothing is special about."""
    workflow = NewWorkflow(
        workflow_id=uuid.uuid4(),
        definition="sample",
        version=1,
        owner_id="sarah",
        input='{"a": 1}',
        content_hash=b"content",
        correlation_id="correlation",
        command_id=str(uuid.uuid4()),
        first_step="first",
        first_step_waits=False,
        claim=uuid.uuid4(),
    )
    return replace(workflow, **changes)


def request_for(workflow: NewWorkflow, **changes: Any) -> ClaimRequest:
    """Ask for a workflow in the name of the message that started it."""
    request = ClaimRequest(workflow.workflow_id, workflow.command_id, uuid.uuid4(), redelivered=False)
    return replace(request, **changes)


def fresh_claim(workflow: NewWorkflow) -> Claim:
    """The claim that came with the start."""
    assert workflow.claim is not None
    return Claim(
        *(workflow.workflow_id, workflow.claim, "sample", 1, "sarah", "correlation"),
        *(0, workflow.first_step, 0, 0, 0, 0, None, workflow.input),
    )


def done(claim: Claim, state: Any = None, **changes: Any) -> StepCommit:
    """A commit of the claim's step, keeping the claim."""
    state = {"done": claim.step_index} if state is None else state
    step_id = ("first", "approve", "last")[claim.step_index]
    place = Position(claim.workflow_id, claim.last_seq + 1, claim.step_index, step_id)
    commit = StepCommit(
        claim=claim,
        step_id=step_id,
        attempt=claim.failed_attempts + 1,
        state=json.dumps(state),
        checksum=checksum(place, canonical(state)),
        started_at=datetime.now(UTC),
        status=WorkflowStatus.EXECUTING,
        next_step=(*("first", "approve", "last"), None)[claim.step_index + 1],
    )
    return commit._replace(**changes)


def gone_wrong(claim: Claim, **changes: Any) -> FailureCommit:
    """A commit of a failed attempt that is retried at once."""
    commit = FailureCommit(
        claim=claim,
        step_id="first",
        attempt=claim.failed_attempts + 1,
        failure=classify(TimeoutError("slow")),
        started_at=datetime.now(UTC),
        status=WorkflowStatus.EXECUTING,
    )
    return commit._replace(**changes)


async def row_of(pool: asyncpg.Pool, workflow_id: uuid.UUID) -> asyncpg.Record:
    """The workflow as the database has it."""
    row = await pool.fetchrow(
        "SELECT *, status::text AS status_text FROM workflow_instances WHERE id = $1", workflow_id
    )
    assert row is not None
    return row
