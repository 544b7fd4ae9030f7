"""One workflow has one runner, and a dead runner is replaced."""

import asyncio
import json
import random
import uuid
from datetime import timedelta

import asyncpg
import pytest
from ratchet.adapters.postgres.claims import MISSING
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.domain.workflow import WorkflowStatus
from ratchet.ports import ClaimVerdict, Fenced, StartVerdict

from tests.integration.conftest import (
    MakeStore,
    done,
    fresh_claim,
    gone_wrong,
    new_workflow,
    request_for,
    row_of,
)

EXPIRED = timedelta(seconds=-1)
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_a_start_is_accepted_once_and_claimed_with_it(store: PostgresExecution, pool: asyncpg.Pool) -> None:
    workflow = new_workflow()
    assert await store.start(workflow) is StartVerdict.NEW
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["claim_token"]) == ("Executing", workflow.claim)
    assert await store.start(workflow) is StartVerdict.AGAIN


async def test_the_same_content_by_another_message_is_known_and_other_content_conflicts(
    store: PostgresExecution,
) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    repeated = new_workflow(workflow_id=workflow.workflow_id)
    assert await store.start(repeated) is StartVerdict.KNOWN
    other = new_workflow(workflow_id=workflow.workflow_id, content_hash=b"other")
    assert await store.start(other) is StartVerdict.CONFLICT


async def test_one_of_many_simultaneous_starts_wins(make_store: MakeStore) -> None:
    workflow = new_workflow()
    rivals = [new_workflow(workflow_id=workflow.workflow_id) for _ in range(8)]
    verdicts = await asyncio.gather(*(make_store(f"executor-{n}").start(rival) for n, rival in enumerate(rivals)))
    assert sorted(verdicts) == [StartVerdict.KNOWN] * 7 + [StartVerdict.NEW]


async def test_a_message_that_is_not_the_workflows_command_is_stale(store: PostgresExecution) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    answer = await store.claim(request_for(workflow, command_id="another"))
    assert answer.verdict is ClaimVerdict.STALE


async def test_an_unknown_workflow_is_unknown(store: PostgresExecution) -> None:
    assert (await store.claim(request_for(new_workflow()))).verdict is ClaimVerdict.UNKNOWN


async def test_a_workflow_on_a_valid_lease_is_busy_for_others(make_store: MakeStore) -> None:
    workflow = new_workflow()
    await make_store("one").start(workflow)
    assert (await make_store("two").claim(request_for(workflow))).verdict is ClaimVerdict.BUSY


@pytest.mark.parametrize("redelivered", [True, False])
async def test_a_dead_executors_workflow_is_abandoned_and_can_be_taken_over(
    make_store: MakeStore, pool: asyncpg.Pool, redelivered: bool
) -> None:
    workflow = new_workflow()
    # Redelivery proves that the holder's connection is gone; without it the lease has to run out.
    await make_store("dead", lease=timedelta(seconds=30) if redelivered else EXPIRED).start(workflow)
    heir = make_store("heir")
    asked = request_for(workflow, redelivered=redelivered)
    assert (await heir.claim(asked)).verdict is ClaimVerdict.ABANDONED
    answer = await heir.claim(request_for(workflow, redelivered=redelivered, take_over=True))
    assert answer.verdict is ClaimVerdict.GRANTED
    assert answer.recoveries == 1
    recovery = await pool.fetchrow("SELECT * FROM recovery_attempts WHERE workflow_id = $1", workflow.workflow_id)
    assert recovery is not None
    assert (recovery["kind"], recovery["outcome"], recovery["resumed_step"]) == ("takeover", "resumed", "first")
    assert (
        await pool.fetchval("SELECT action FROM audit_log WHERE workflow_id = $1", workflow.workflow_id) == "takeover"
    )
    assert await pool.fetchval("SELECT type FROM outbox") == "WORKFLOW_RECOVERED"


async def test_of_many_heirs_one_takes_over(make_store: MakeStore) -> None:
    workflow = new_workflow()
    await make_store("dead", lease=EXPIRED).start(workflow)
    heirs = [make_store(f"heir-{n}") for n in range(6)]
    answers = await asyncio.gather(*(heir.claim(request_for(workflow, take_over=True)) for heir in heirs))
    assert sorted(answer.verdict for answer in answers) == [ClaimVerdict.BUSY] * 5 + [ClaimVerdict.GRANTED]


async def test_takeovers_without_progress_end_at_the_limit(make_store: MakeStore) -> None:
    workflow = new_workflow()
    await make_store("dead-0").start(workflow)
    for count in range(AUTOMATIC_LIMIT):
        answer = await make_store(f"dead-{count + 1}").claim(request_for(workflow, redelivered=True, take_over=True))
        assert (answer.verdict, answer.recoveries) == (ClaimVerdict.GRANTED, count + 1)
    answer = await make_store("last").claim(request_for(workflow, redelivered=True, take_over=True))
    assert (answer.verdict, answer.recoveries) == (ClaimVerdict.ABANDONED, AUTOMATIC_LIMIT)


async def test_progress_resets_the_count_of_takeovers(make_store: MakeStore, pool: asyncpg.Pool) -> None:
    workflow = new_workflow()
    await make_store("dead").start(workflow)
    heir = make_store("heir")
    answer = await heir.claim(request_for(workflow, redelivered=True, take_over=True))
    assert answer.claim is not None
    await heir.commit_step(done(answer.claim))
    assert (await row_of(pool, workflow.workflow_id))["recoveries_since_progress"] == 0


async def test_a_crash_is_no_attempt(make_store: MakeStore) -> None:
    workflow = new_workflow()
    await make_store("dead").start(workflow)
    answer = await make_store("heir").claim(request_for(workflow, redelivered=True, take_over=True))
    assert answer.claim is not None
    assert (answer.claim.retry_count, answer.claim.failed_attempts) == (0, 0)


async def test_an_executor_that_was_cut_off_gets_its_own_workflow_back_without_a_takeover(
    store: PostgresExecution, pool: asyncpg.Pool
) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    answer = await store.claim(request_for(workflow, redelivered=True))
    assert answer.verdict is ClaimVerdict.GRANTED
    assert (await row_of(pool, workflow.workflow_id))["recoveries_since_progress"] == 0
    with pytest.raises(Fenced):
        await store.commit_step(done(fresh_claim(workflow)))


async def test_a_retry_is_not_due_before_its_time(store: PostgresExecution) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    later = str(uuid.uuid4())
    await store.commit_failure(
        gone_wrong(
            fresh_claim(workflow),
            status=WorkflowStatus.IN_PROGRESS,
            delay=timedelta(seconds=30),
            command_id=later,
        )
    )
    answer = await store.claim(request_for(workflow, command_id=later))
    assert answer.verdict is ClaimVerdict.EARLY
    assert answer.due_in is not None
    assert timedelta(seconds=29) < answer.due_in <= timedelta(seconds=30)


async def test_all_leases_are_extended_in_one_call_and_lost_ones_are_told(
    make_store: MakeStore, pool: asyncpg.Pool
) -> None:
    store = make_store("one", lease=timedelta(seconds=5))
    workflows = [new_workflow() for _ in range(3)]
    await asyncio.gather(*(store.start(workflow) for workflow in workflows))
    await make_store("two").claim(request_for(workflows[0], redelivered=True, take_over=True))
    held = [(workflow.workflow_id, workflow.claim) for workflow in workflows if workflow.claim is not None]
    patient = make_store("one", lease=timedelta(hours=1))
    assert await patient.extend(held) == {workflow.claim for workflow in workflows[1:]}
    leases = await pool.fetch("SELECT lease_until - clock_timestamp() AS left FROM workflow_instances ORDER BY 1")
    assert leases[-2]["left"] > timedelta(minutes=59)


async def test_many_extensions_at_the_same_time_do_not_block_each_other(make_store: MakeStore) -> None:
    store = make_store("one")
    workflows = [new_workflow() for _ in range(200)]
    await asyncio.gather(*(store.start(workflow) for workflow in workflows))
    held = [(workflow.workflow_id, workflow.claim) for workflow in workflows if workflow.claim is not None]
    everything = {token for _workflow_id, token in held}
    for _ in range(10):
        parts = [random.sample(held, 150) for _ in range(8)]
        kept = await asyncio.gather(*(store.extend(part) for part in parts))
        assert set().union(*kept) <= everything
        assert [len(tokens) for tokens in kept] == [150] * 8


async def test_a_claim_that_waited_for_a_commit_stands_on_what_was_committed(
    store: PostgresExecution, pool: asyncpg.Pool
) -> None:
    """A connection to the broker is lost while a step is committed: the message is delivered again meanwhile."""
    workflow = new_workflow()
    await store.start(workflow)
    async with pool.acquire() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM workflow_instances WHERE id = $1 FOR UPDATE", workflow.workflow_id)
        commit = asyncio.create_task(store.commit_step(done(fresh_claim(workflow), {"done": 0})))
        await blocked(pool, 1)
        claim = asyncio.create_task(store.claim(request_for(workflow)))
        await blocked(pool, 2)
    await commit
    answer = (await claim).claim
    assert answer is not None
    assert (answer.step_index, answer.checkpoint_seq) == (1, 1)
    assert json.loads(answer.state) == {"done": 0}
    assert answer.checkpoint is not None


async def test_a_checkpoint_that_is_not_there_counts_as_damaged(store: PostgresExecution, pool: asyncpg.Pool) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    await store.commit_step(done(fresh_claim(workflow)))
    await pool.execute("DELETE FROM checkpoints")
    answer = (await store.claim(request_for(workflow))).claim
    assert answer is not None
    assert answer.checkpoint is MISSING


async def blocked(pool: asyncpg.Pool, sessions: int) -> None:
    """Wait until so many sessions wait for a lock."""
    async with asyncio.timeout(5):
        while await pool.fetchval(BLOCKED) < sessions:  # noqa: ASYNC110  # what is asked lies in a server
            await asyncio.sleep(0.01)
