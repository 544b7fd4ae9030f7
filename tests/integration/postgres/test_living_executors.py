"""Who lives is seen by a session, not by a lease or by a message that came back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import pytest
from ratchet.adapters.postgres.claim_keeping import PostgresClaimKeeping
from ratchet.adapters.postgres.recovery_store import lock_all
from ratchet.ports import ClaimVerdict, NewWorkflow

from tests.integration.conftest import MakeStore, new_workflow, request_for
from tests.integration.executor.processes import until

Live = Callable[[str], Awaitable[PostgresClaimKeeping]]

LEASE = timedelta(seconds=30)


@pytest.fixture
async def live(database_url: str) -> AsyncIterator[Live]:
    """Sessions of living executors."""
    async with AsyncExitStack() as stack:

        async def open_session(name: str) -> PostgresClaimKeeping:
            session = await PostgresClaimKeeping.open(database_url, executor=name, lease=LEASE)
            stack.push_async_callback(session.close)
            return session

        yield open_session


@pytest.fixture
async def workflow(make_store: MakeStore) -> NewWorkflow:
    """Held by an executor named `holder`."""
    workflow = new_workflow()
    await make_store("holder").start(workflow)
    return workflow


@pytest.mark.parametrize("take_over", [False, True])
async def test_a_message_that_came_back_takes_nothing_from_an_executor_that_lives(
    make_store: MakeStore, live: Live, workflow: NewWorkflow, take_over: bool
) -> None:
    session = await live("holder")
    heir = make_store("heir")
    request = request_for(workflow, redelivered=True, take_over=take_over)
    answer = await heir.claim(request)
    assert answer.verdict is ClaimVerdict.HELD
    assert answer.claim is None
    await session.close()

    async def gone() -> bool:
        # Postgres ends a session a moment after its connection.
        verdict = (await heir.claim(request)).verdict
        return verdict is (ClaimVerdict.GRANTED if take_over else ClaimVerdict.ABANDONED)

    await until("the dead executor's workflow to be free", gone)


async def test_a_copy_of_a_message_is_still_nothing(make_store: MakeStore, live: Live, workflow: NewWorkflow) -> None:
    await live("holder")
    answer = await make_store("heir").claim(request_for(workflow))
    assert answer.verdict is ClaimVerdict.BUSY


async def test_the_life_of_another_executor_protects_nobody(
    make_store: MakeStore, live: Live, workflow: NewWorkflow
) -> None:
    await live("heir")
    answer = await make_store("heir").claim(request_for(workflow, redelivered=True))
    assert answer.verdict is ClaimVerdict.ABANDONED


async def test_a_lease_that_ran_out_wins_over_a_sign_of_life_and_says_so(
    make_store: MakeStore, live: Live, workflow: NewWorkflow, pool: asyncpg.Pool
) -> None:
    await live("holder")
    await pool.execute("UPDATE workflow_instances SET lease_until = clock_timestamp() - interval '1 second'")
    answer = await make_store("heir").claim(request_for(workflow, take_over=True))
    assert answer.verdict is ClaimVerdict.GRANTED
    reason = await pool.fetchval("SELECT reason FROM recovery_attempts")
    assert reason == "Its executor gave no sign of life for longer than the lease"


async def test_a_session_extends_also_what_its_executor_has_not_heard_of_yet(
    live: Live, workflow: NewWorkflow, pool: asyncpg.Pool
) -> None:
    session = await live("holder")
    await pool.execute("UPDATE workflow_instances SET lease_until = clock_timestamp() + interval '1 second'")
    assert workflow.claim is not None
    assert await session.extend([]) == set()
    left = await pool.fetchval("SELECT lease_until - clock_timestamp() FROM workflow_instances")
    assert left > LEASE / 2
    assert await session.extend([(workflow.workflow_id, workflow.claim)]) == {workflow.claim}


async def test_recovery_sees_which_workflow_is_being_worked_on(
    live: Live, workflow: NewWorkflow, pool: asyncpg.Pool
) -> None:
    async def is_held() -> bool:
        async with pool.acquire() as connection, connection.transaction():
            return (await lock_all(connection, [workflow.workflow_id]))[workflow.workflow_id].is_held

    assert not await is_held()
    await live("holder")
    assert await is_held()
    await pool.execute("UPDATE workflow_instances SET lease_until = clock_timestamp() - interval '1 second'")
    assert not await is_held()
