"""Recovery races executors and itself; the row decides, and there is one winner."""

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest
from ratchet.adapters.postgres.claim_keeping import PostgresClaimKeeping
from ratchet.adapters.postgres.recovery_store import PostgresRecovery
from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
from ratchet.adapters.postgres.unserved import PostgresUnserved
from ratchet.domain.interruption import Interruption, QueueDepth
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.commands import RecoveryRequest
from ratchet.messages.envelope import Outgoing
from ratchet.observability.metrics import RecoveryMetrics, new_registry
from ratchet.ports import Fenced
from recovery.await_executors import AwaitExecutors
from recovery.handle_command import HandleCommand
from recovery.look_after import LookAfter, Verdict
from recovery.restart_scan import RestartScan, Rules, Senses

from tests.integration.conftest import MakeStore, done, fresh_claim, gone_wrong, new_workflow, request_for, row_of

EXPIRED = timedelta(seconds=-1)


class Silent:
    """A publisher that takes everything: what was posted is seen in the list."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def publish(self, messages: list[Outgoing]) -> None:
        self.sent.extend(messages)


async def nothing() -> None: ...


WHEN = Interruption(timedelta(minutes=5), timedelta(0), timedelta(hours=1))


def scanner(pool: asyncpg.Pool, publisher: Silent, *, stale_after: timedelta = timedelta(minutes=5)) -> RestartScan:
    metrics = RecoveryMetrics(new_registry())
    store = PostgresRecovery(pool, publisher)  # type: ignore[arg-type]  # a list is a sequence
    return RestartScan(
        store=store,
        ledger=PostgresScanLedger(pool),
        unserved=AwaitExecutors(PostgresUnserved(store), metrics),
        look_after=LookAfter(store, metrics),
        metrics=metrics,
        rules=Rules(Interruption(stale_after, timedelta(0), timedelta(hours=1)), 5, place=timedelta(0)),
        senses=Senses(no_depths, nothing),
    )


async def no_depths() -> dict[str, QueueDepth]:
    return {}


async def test_of_many_scans_one_rescues_each_workflow_with_one_new_command(
    make_store: MakeStore, pool: asyncpg.Pool
) -> None:
    dead = make_store("dead", lease=EXPIRED)
    workflows = [new_workflow() for _ in range(60)]
    await asyncio.gather(*map(dead.start, workflows))
    publisher = Silent()
    # Past the one-at-a-time lock, because rescues have to be right without it.
    await asyncio.gather(*(scanner(pool, publisher)._scan(WHEN, None) for _ in range(4)))
    commands = [message for message in publisher.sent if message.type == "ContinueWorkflow"]
    assert len(commands) == len(workflows)
    rows = await pool.fetch("SELECT command_id, recoveries_since_progress AS recoveries FROM workflow_instances")
    assert {row["command_id"] for row in rows} == {message.message_id for message in commands}
    assert {row["recoveries"] for row in rows} == {1}


async def test_a_second_scan_at_the_same_time_leaves_the_work_to_the_first(pool: asyncpg.Pool) -> None:
    publisher = Silent()
    async with PostgresRecovery(pool, publisher).scanning() as is_ours:  # type: ignore[arg-type]  # never called
        assert is_ours
        assert await scanner(pool, publisher)("on demand") is None


async def test_a_commit_and_a_rescue_at_the_same_time_never_set_a_done_step_back(
    make_store: MakeStore, pool: asyncpg.Pool
) -> None:
    slow = make_store("slow", lease=EXPIRED)
    committed = 0
    for _ in range(25):
        workflow = new_workflow()
        await slow.start(workflow)
        outcome, _ = await asyncio.gather(
            slow.commit_step(done(fresh_claim(workflow))), scanner(pool, Silent())("on demand"), return_exceptions=True
        )
        row = await row_of(pool, workflow.workflow_id)
        if isinstance(outcome, Fenced):
            assert row["current_step_index"] == 0, "rescued first: the step runs again"
        else:
            committed += 1
            assert row["current_step_index"] == 1, "committed first: the rescue goes on after the step"
        assert (
            await pool.fetchval("SELECT count(*) FROM checkpoints WHERE workflow_id = $1", workflow.workflow_id)
            == (row["current_step_index"])
        )


async def test_a_rescued_workflows_old_message_is_stale(make_store: MakeStore, pool: asyncpg.Pool) -> None:
    workflow = new_workflow()
    await make_store("dead", lease=EXPIRED).start(workflow)
    await scanner(pool, Silent())("on demand")
    answer = await make_store("heir").claim(request_for(workflow, redelivered=True))
    assert answer.verdict == "stale"


async def test_a_retry_and_a_scan_at_the_same_time_use_each_attempt_once(
    make_store: MakeStore, pool: asyncpg.Pool
) -> None:
    store = make_store()
    workflow = new_workflow()
    await store.start(workflow)
    later = str(uuid.uuid4())
    await store.commit_failure(
        gone_wrong(
            fresh_claim(workflow), status=WorkflowStatus.IN_PROGRESS, delay=timedelta(milliseconds=1), command_id=later
        )
    )
    publisher = Silent()
    answer, _ = await asyncio.gather(
        store.claim(request_for(workflow, command_id=later)),
        scanner(pool, publisher, stale_after=timedelta(0))("on demand"),
    )
    commands = [message for message in publisher.sent if message.type == "ContinueWorkflow"]
    assert (answer.claim is not None) + len(commands) >= 1, "somebody goes on"
    row = await row_of(pool, workflow.workflow_id)
    assert row["failed_attempts"] == 1
    if commands and answer.claim is not None:
        # The scan came after the claim was released or before it was taken: then the claim is fenced.
        assert row["claim_token"] != answer.claim.token or row["status_text"] == "Executing"


async def test_a_workflow_in_good_hands_is_left_alone(make_store: MakeStore, pool: asyncpg.Pool) -> None:
    running, waiting, fresh = new_workflow(), new_workflow(), new_workflow(claim=None)
    store = make_store()
    for workflow in (running, waiting, fresh):
        await store.start(workflow)
    await store.commit_step(done(fresh_claim(waiting), next_waits=True))
    await pool.execute(
        "UPDATE workflow_instances SET updated_at = now() - interval '1 year' WHERE waiting_for IS NOT NULL"
    )
    publisher = Silent()
    await scanner(pool, publisher)("on demand")
    assert publisher.sent == []


async def test_the_same_command_delivered_twice_at_once_is_carried_out_once(
    make_store: MakeStore, pool: asyncpg.Pool
) -> None:
    store = make_store()
    workflow = new_workflow()
    await store.start(workflow)
    await store.commit_failure(gone_wrong(fresh_claim(workflow), status=WorkflowStatus.FAILED))
    publisher = Silent()
    handle = HandleCommand(
        PostgresRecovery(pool, publisher),  # type: ignore[arg-type]  # a list is a sequence
        RecoveryMetrics(new_registry()),
    )
    request = RecoveryRequest(workflow_id=workflow.workflow_id, actor="sarah")
    await asyncio.gather(
        *(handle(RecoveryKind.RECOVER, request, recovery_id="r-1", correlation_id="c") for _ in range(5))
    )
    assert await pool.fetchval("SELECT count(*) FROM recovery_attempts") == 1
    assert len([message for message in publisher.sent if message.type == "ContinueWorkflow"]) == 1


@pytest.mark.parametrize("too_often", [True, False])
async def test_a_message_that_was_only_returned_too_often_counts_for_nothing_against_its_workflow(
    make_store: MakeStore, pool: asyncpg.Pool, too_often: bool
) -> None:
    workflow = new_workflow()
    await make_store("dead").start(workflow)
    await pool.execute("UPDATE workflow_instances SET recoveries_since_progress = 3")
    look_after = LookAfter(PostgresRecovery(pool, Silent()), RecoveryMetrics(new_registry()))  # type: ignore[arg-type]  # never called
    verdict = await look_after(workflow.workflow_id, workflow.command_id, was_returned_too_often=too_often)
    assert verdict is (Verdict.REISSUED if too_often else Verdict.POISON)
    row = await row_of(pool, workflow.workflow_id)
    assert row["recoveries_since_progress"] == 3


async def test_a_dead_letter_takes_nothing_from_an_executor_that_works_on_it(
    make_store: MakeStore, pool: asyncpg.Pool, database_url: str
) -> None:
    workflow = new_workflow()
    await make_store("living").start(workflow)
    session = await PostgresClaimKeeping.open(database_url, executor="living", lease=timedelta(seconds=30))
    look_after = LookAfter(PostgresRecovery(pool, Silent()), RecoveryMetrics(new_registry()))  # type: ignore[arg-type]  # never called
    verdict = await look_after(workflow.workflow_id, workflow.command_id, was_returned_too_often=True)
    await session.close()
    assert verdict is Verdict.HELD
    assert (await row_of(pool, workflow.workflow_id))["claim_token"] == workflow.claim


ASKED = """
INSERT INTO recovery_requests (id, workflow_id, kind, actor, correlation_id, requested_at)
VALUES ($1, $2, 'x', 'ada', 'c', clock_timestamp() - $3::interval)
"""


async def test_what_was_asked_for_first_is_carried_out_first_in_whatever_order_it_arrives(
    pool: asyncpg.Pool, make_store: MakeStore
) -> None:
    workflow = new_workflow(claim=None)
    await make_store().start(workflow)
    handle = HandleCommand(PostgresRecovery(pool, Silent()), RecoveryMetrics(new_registry()))  # type: ignore[arg-type]  # a list is a sequence
    request = RecoveryRequest(workflow_id=workflow.workflow_id, actor="ada")
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    await pool.execute(ASKED, first, workflow.workflow_id, timedelta(seconds=2))
    await pool.execute(ASKED, second, workflow.workflow_id, timedelta(seconds=1))
    later = asyncio.create_task(handle(RecoveryKind.RESUME, request, recovery_id=second, correlation_id="c"))
    await asyncio.sleep(0)
    await handle(RecoveryKind.PAUSE, request, recovery_id=first, correlation_id="c")
    await later
    done_in_order = await pool.fetch("SELECT id, outcome FROM recovery_attempts ORDER BY attempted_at")
    assert [(row["id"], row["outcome"]) for row in done_in_order] == [(first, "done"), (second, "resumed")]


async def test_a_request_that_is_never_answered_does_not_hold_up_the_next_one_for_ever(
    pool: asyncpg.Pool, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recovery.handle_command.TURNS", (0.01, 0.01))
    workflow = new_workflow(claim=None)
    await make_store().start(workflow)
    lost, mine = str(uuid.uuid4()), str(uuid.uuid4())
    await pool.execute(ASKED, lost, workflow.workflow_id, timedelta(seconds=2))
    await pool.execute(ASKED, mine, workflow.workflow_id, timedelta(seconds=1))
    handle = HandleCommand(PostgresRecovery(pool, Silent()), RecoveryMetrics(new_registry()))  # type: ignore[arg-type]  # a list is a sequence
    request = RecoveryRequest(workflow_id=workflow.workflow_id, actor="ada")
    await handle(RecoveryKind.PAUSE, request, recovery_id=mine, correlation_id="c")
    assert await pool.fetchval("SELECT outcome FROM recovery_attempts WHERE id = $1", mine) == "done"
