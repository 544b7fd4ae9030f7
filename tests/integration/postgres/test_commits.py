"""A step is committed once, by the holder of the claim, with everything that belongs to it."""

import asyncio
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.domain.errors import StateNotStorable
from ratchet.domain.failure import classify
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages import events
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import EventType, Subject, announce
from ratchet.ports import Claim, Fenced, NewWorkflow
from ratchet.verdicts import InputsVerdict

from tests.integration.conftest import (
    MakeStore,
    done,
    fresh_claim,
    gone_wrong,
    new_workflow,
    request_for,
    row_of,
)


async def started(store: PostgresExecution, **changes: object) -> NewWorkflow:
    workflow = new_workflow(**changes)
    await store.start(workflow)
    return workflow


def next_claim(claim: Claim, state: object) -> Claim:
    seq = claim.last_seq + 1
    return claim._replace(step_index=claim.step_index + 1, last_seq=seq, checkpoint_seq=seq, state=json.dumps(state))


async def test_a_step_leaves_a_checkpoint_and_the_next_position(store: PostgresExecution, pool: asyncpg.Pool) -> None:
    workflow = await started(store)
    await store.commit_step(done(fresh_claim(workflow), {"b": 2}))
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["current_step_index"], row["current_step"]) == ("Executing", 1, "approve")
    assert (row["checkpoint_seq"], row["last_seq"]) == (1, 1)
    assert row["last_checkpoint_at"] is not None
    kept = await pool.fetchrow("SELECT * FROM checkpoints WHERE workflow_id = $1", workflow.workflow_id)
    assert kept is not None
    assert (kept["seq"], kept["parent_seq"], kept["step_id"], kept["attempt"]) == (1, None, "first", 1)
    assert json.loads(kept["state"]) == {"b": 2}


async def test_the_same_step_cannot_be_committed_twice(store: PostgresExecution) -> None:
    workflow = await started(store)
    await store.commit_step(done(fresh_claim(workflow)))
    with pytest.raises(Fenced):
        await store.commit_step(done(fresh_claim(workflow)))


async def test_a_zombie_cannot_commit_after_a_takeover(make_store: MakeStore, pool: asyncpg.Pool) -> None:
    zombie = make_store("zombie")
    workflow = await started(zombie)
    heir = make_store("heir")
    answer = await heir.claim(request_for(workflow, redelivered=True, take_over=True))
    assert answer.claim is not None
    with pytest.raises(Fenced):
        await zombie.commit_step(done(fresh_claim(workflow)))
    with pytest.raises(Fenced):
        await zombie.commit_failure(gone_wrong(fresh_claim(workflow)))
    assert await pool.fetchval("SELECT count(*) FROM checkpoints") == 0
    assert await pool.fetchval("SELECT count(*) FROM step_attempts") == 0
    await heir.commit_step(done(answer.claim))


async def test_a_commit_for_another_position_is_fenced(store: PostgresExecution) -> None:
    workflow = await started(store)
    with pytest.raises(Fenced):
        await store.commit_step(done(fresh_claim(workflow)._replace(step_index=1)))


async def test_a_fenced_commit_posts_nothing(make_store: MakeStore, pool: asyncpg.Pool) -> None:
    store = make_store("zombie")
    workflow = await started(store)
    await make_store("heir").claim(request_for(workflow, redelivered=True, take_over=True))
    await pool.execute("DELETE FROM outbox")
    with pytest.raises(Fenced):
        await store.commit_step(done(fresh_claim(workflow), release=True, outgoing=(completed(workflow),)))
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


def completed(workflow: NewWorkflow) -> Outgoing:
    subject = Subject(workflow.workflow_id, "sarah", "correlation")
    return announce(events.plain(EventType.COMPLETED), subject, event_id=str(uuid.uuid4()), at=datetime.now(UTC))


async def test_many_commits_at_once_keep_to_themselves(store: PostgresExecution, pool: asyncpg.Pool) -> None:
    workflows = [await started(store) for _ in range(50)]
    await asyncio.gather(
        *(store.commit_step(done(fresh_claim(item), {"n": number})) for number, item in enumerate(workflows))
    )
    rows = await pool.fetch("SELECT workflow_id, state FROM checkpoints")
    kept = {row["workflow_id"]: json.loads(row["state"])["n"] for row in rows}
    assert kept == {item.workflow_id: number for number, item in enumerate(workflows)}


@pytest.mark.parametrize("poison", ['{"x": "\\u0000"}', '{"x": "\\ud800"}', '{"x": '], ids=["nul", "surrogate", "cut"])
async def test_a_state_that_postgres_refuses_fails_only_its_own_workflow(
    store: PostgresExecution, pool: asyncpg.Pool, poison: str
) -> None:
    workflows = [await started(store) for _ in range(20)]
    commits = [done(fresh_claim(workflow)) for workflow in workflows]
    commits[7] = commits[7]._replace(state=poison)
    results = await asyncio.gather(*map(store.commit_step, commits), return_exceptions=True)
    assert isinstance(results[7], StateNotStorable)
    assert sum(isinstance(result, Exception) for result in results) == 1
    assert await pool.fetchval("SELECT count(*) FROM checkpoints") == 19


async def test_a_pause_during_a_step_keeps_its_checkpoint_and_stops_there(
    store: PostgresExecution, pool: asyncpg.Pool
) -> None:
    workflow = await started(store)
    await pool.execute("UPDATE workflow_instances SET status = 'Paused'")
    committed = await store.commit_step(
        done(
            fresh_claim(workflow),
            status=WorkflowStatus.COMPLETED,
            release=True,
            next_step=None,
            outgoing=(completed(workflow),),
        )
    )
    assert committed.paused
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["claim_token"], row["checkpoint_seq"]) == ("Paused", None, 1)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0, "a paused workflow is not announced as completed"


async def test_a_retry_at_once_keeps_the_claim_and_is_recorded_like_any_other(
    store: PostgresExecution, pool: asyncpg.Pool
) -> None:
    workflow = await started(store)
    await store.commit_failure(gone_wrong(fresh_claim(workflow)))
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["retry_count"], row["claim_token"]) == ("Executing", 1, workflow.claim)
    attempt = await pool.fetchrow("SELECT * FROM step_attempts")
    assert attempt is not None
    assert (attempt["attempt"], attempt["kind"], attempt["reason"]) == (1, "transient", "TimeoutError: slow")
    assert attempt["correlation_id"] == "correlation"
    assert attempt["next_attempt_at"] is not None


async def test_giving_up_says_why_in_the_row(store: PostgresExecution, pool: asyncpg.Pool) -> None:
    workflow = await started(store)
    await store.commit_failure(gone_wrong(fresh_claim(workflow), status=WorkflowStatus.FAILED))
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["failure_kind"], row["failure_reason"]) == (
        "Failed",
        "transient",
        "TimeoutError: slow",
    )
    assert row["failed_at"] is not None
    assert row["claim_token"] is None
    assert not row["requires_manual_intervention"], "that is for recovery to say"


async def test_a_waiting_step_parks_the_workflow_until_its_command(
    store: PostgresExecution, pool: asyncpg.Pool
) -> None:
    workflow = await started(store)
    committed = await store.commit_step(done(fresh_claim(workflow), next_waits=True))
    assert committed.waiting
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["waiting_for"], row["claim_token"]) == ("InProgress", "approve", None)
    verdict = await store.keep_inputs(
        workflow.workflow_id, step_id="approve", message_id="m-1", inputs_text='{"ok": 1}'
    )
    assert verdict is InputsVerdict.DRIVES
    answer = await store.claim(request_for(workflow, command_id="m-1"))
    assert answer.claim is not None
    assert json.loads(answer.claim.inputs or "") == {"messageId": "m-1", "inputs": {"ok": 1}}


async def test_an_early_command_is_kept_and_the_first_one_wins(store: PostgresExecution) -> None:
    workflow = await started(store)
    for message_id in ("m-1", "m-2"):
        verdict = await store.keep_inputs(
            workflow.workflow_id, step_id="approve", message_id=message_id, inputs_text=f'{{"by": "{message_id}"}}'
        )
        assert verdict is (InputsVerdict.KEPT if message_id == "m-1" else InputsVerdict.IGNORED)
    committed = await store.commit_step(done(fresh_claim(workflow), next_waits=True))
    assert not committed.waiting
    assert json.loads(committed.inputs or "")["inputs"] == {"by": "m-1"}


async def test_a_command_for_a_done_or_unknown_step_drives_nothing(store: PostgresExecution) -> None:
    workflow = await started(store)
    await store.commit_step(done(fresh_claim(workflow)))

    async def keep(step_id: str) -> InputsVerdict:
        return await store.keep_inputs(workflow.workflow_id, step_id=step_id, message_id="m", inputs_text="{}")

    assert await keep("first") is InputsVerdict.IGNORED
    assert await keep("no-such-step") is InputsVerdict.UNKNOWN


async def test_a_race_of_inputs_and_commit_never_loses_the_inputs(store: PostgresExecution) -> None:
    for _ in range(30):
        workflow = await started(store)
        committed, verdict = await asyncio.gather(
            store.commit_step(done(fresh_claim(workflow), next_waits=True)),
            store.keep_inputs(workflow.workflow_id, step_id="approve", message_id="m", inputs_text="{}"),
        )
        assert committed.waiting == (verdict is InputsVerdict.DRIVES)


async def test_a_claim_reads_back_the_state_it_stands_on(store: PostgresExecution) -> None:
    workflow = await started(store)
    later = str(uuid.uuid4())
    await store.commit_step(
        done(
            fresh_claim(workflow),
            {"b": [1, 2.5, None]},
            status=WorkflowStatus.IN_PROGRESS,
            release=True,
            command_id=later,
        )
    )
    answer = await store.claim(request_for(workflow, command_id=later))
    assert answer.claim is not None
    assert json.loads(answer.claim.state) == {"b": [1, 2.5, None]}
    assert (answer.claim.step_index, answer.claim.checkpoint_seq) == (1, 1)


async def test_a_retry_later_releases_the_claim_to_its_own_command(
    store: PostgresExecution, pool: asyncpg.Pool
) -> None:
    workflow = await started(store)
    later = str(uuid.uuid4())
    await store.commit_failure(
        gone_wrong(
            fresh_claim(workflow),
            status=WorkflowStatus.IN_PROGRESS,
            delay=timedelta(milliseconds=1),
            command_id=later,
        )
    )
    row = await row_of(pool, workflow.workflow_id)
    assert (row["status_text"], row["command_id"], row["claim_token"]) == ("InProgress", later, None)
    answer = await store.claim(request_for(workflow, command_id=later))
    assert answer.claim is not None
    assert (answer.claim.retry_count, answer.claim.failed_attempts) == (1, 1)


async def test_a_failed_attempt_keeps_where_it_came_from(pool: asyncpg.Pool, store: PostgresExecution) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    failure = replace(classify(TimeoutError("slow")), traceback='File "orders.py", line 3, in book')
    await store.commit_failure(gone_wrong(fresh_claim(workflow), failure=failure))
    kept = await pool.fetchval("SELECT traceback FROM step_attempts WHERE workflow_id = $1", workflow.workflow_id)
    assert kept == failure.traceback
