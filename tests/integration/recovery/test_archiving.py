"""Old workflows go to the archive with everything that belongs to them, come back whole, and leave it when they may."""

import json
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from ratchet.adapters.postgres.archive import PostgresArchive
from ratchet.domain.recovery import RecoveryKind, RecoveryOutcome
from ratchet.ports import StartVerdict

from tests.integration.recovery.recovery_stage import RecoveryStage

AGE = timedelta(days=90)
OLD = """
UPDATE workflow_instances
SET created_at = created_at - interval '1 year', finished_at = finished_at - interval '1 year'
"""
TABLES = ("checkpoints", "step_attempts", "recovery_attempts", "recovery_verdicts", "workflow_instances")


@pytest.fixture
def archive(stage: RecoveryStage) -> PostgresArchive:
    return PostgresArchive(stage.pool)


async def finished(stage: RecoveryStage) -> None:
    """A workflow that failed once, was recovered, and is complete."""
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    claim = await stage.take(workflow_id)
    for _ in range(3):
        claim = await stage.commit(claim)
    await stage.verify()


async def test_a_finished_workflow_is_moved_with_all_that_belongs_to_it(
    stage: RecoveryStage, archive: PostgresArchive
) -> None:
    await finished(stage)
    await stage.pool.execute(OLD)
    assert await archive.archive_some(finished=AGE, failed=None, limit=10) == 1
    for table in TABLES:
        assert await stage.pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    kept = await stage.pool.fetchrow("SELECT owner_id, status::text, document::text FROM archived_workflows")
    assert kept is not None
    document = json.loads(kept["document"])
    assert (kept["owner_id"], kept["status"]) == ("sarah", "Completed")
    assert [checkpoint["step_id"] for checkpoint in document["checkpoints"]] == ["a", "b", "c", "d"]
    assert [len(document[part]) for part in ("attempts", "recoveries", "verdicts")] == [1, 1, 1]
    assert await stage.pool.fetchval("SELECT count(*) FROM audit_log") == 1, "the audit log is never archived"


async def test_what_is_young_or_not_finished_stays(stage: RecoveryStage, archive: PostgresArchive) -> None:
    await finished(stage)
    await stage.failed_at("a")
    await stage.begin()
    assert await archive.archive_some(finished=AGE, failed=None, limit=10) == 0
    await stage.pool.execute("UPDATE workflow_instances SET created_at = now() - interval '1 year'")
    assert await archive.archive_some(finished=AGE, failed=None, limit=10) == 0, "it ended a moment ago"


async def test_a_batch_is_no_larger_than_asked_for_and_passes_over_what_is_locked(
    stage: RecoveryStage, archive: PostgresArchive
) -> None:
    for _ in range(3):
        await finished(stage)
    await stage.pool.execute(OLD)
    assert await archive.archive_some(finished=AGE, failed=None, limit=1) == 1
    async with stage.pool.acquire() as somebody, somebody.transaction():
        await somebody.fetch("SELECT id FROM workflow_instances LIMIT 1 FOR UPDATE")
        assert await archive.archive_some(finished=AGE, failed=None, limit=10) == 1
    assert await archive.archive_some(finished=AGE, failed=None, limit=10) == 1


async def test_an_archived_workflow_is_not_started_again(stage: RecoveryStage, archive: PostgresArchive) -> None:
    """The same start may come again long after; and somebody may use its id for something else."""
    workflow = await stage.completed()
    await stage.pool.execute(OLD)
    assert await archive.archive_some(finished=AGE, failed=None, limit=1) == 1
    executor = stage.executor()
    neighbour = replace(workflow, workflow_id=uuid.uuid4(), claim=uuid.uuid4())
    other = replace(workflow, content_hash=b"something else")
    verdicts = [await executor.start(item) for item in (workflow, neighbour, other)]
    assert verdicts == [StartVerdict.KNOWN, StartVerdict.NEW, StartVerdict.CONFLICT]
    assert await stage.pool.fetchval("SELECT array_agg(id) FROM workflow_instances") == [neighbour.workflow_id]


async def failed_long_ago(stage: RecoveryStage) -> uuid.UUID:
    """A workflow that failed at its third step, was looked after, and has stood there for a year."""
    workflow_id = await stage.failed_at("c")
    await stage.look_after(workflow_id)
    await stage.pool.execute(
        "UPDATE workflow_instances"
        " SET created_at = created_at - interval '1 year', failed_at = failed_at - interval '1 year'"
    )
    return workflow_id


async def test_failed_workflows_have_an_age_of_their_own(stage: RecoveryStage, archive: PostgresArchive) -> None:
    await failed_long_ago(stage)
    assert await archive.archive_some(finished=AGE, failed=None, limit=10) == 0
    assert await archive.archive_some(finished=AGE, failed=timedelta(days=400), limit=10) == 0
    assert await archive.archive_some(finished=None, failed=timedelta(days=360), limit=10) == 1


async def test_a_failed_workflow_that_nobody_looked_after_is_not_archived(
    stage: RecoveryStage, archive: PostgresArchive
) -> None:
    await stage.failed_at("a")
    await stage.pool.execute("UPDATE workflow_instances SET failed_at = failed_at - interval '1 year'")
    assert await archive.archive_some(finished=AGE, failed=AGE, limit=10) == 0


@pytest.mark.parametrize("kind", [RecoveryKind.RECOVER, RecoveryKind.RETRY, RecoveryKind.RESTORE])
async def test_an_archived_failure_is_brought_back_by_what_is_done_to_it(
    stage: RecoveryStage, archive: PostgresArchive, kind: RecoveryKind
) -> None:
    workflow_id = await failed_long_ago(stage)
    before = {table: await stage.pool.fetch(f"SELECT * FROM {table}") for table in TABLES[:-1]}
    await archive.archive_some(finished=AGE, failed=AGE, limit=10)
    more = {"checkpoint_seq": 2} if kind is RecoveryKind.RESTORE else {}
    result = await stage.command(kind, workflow_id, **more)
    assert result["outcome"] == RecoveryOutcome.RESUMED
    assert await stage.pool.fetchval("SELECT count(*) FROM archived_workflows") == 0
    for table, rows in before.items():
        now = await stage.pool.fetch(f"SELECT * FROM {table}")
        assert all(row in now for row in rows), f"{table} is as it was, and may have grown"
    claim = await stage.take(workflow_id)
    assert (claim.current_step, claim.last_seq) == ("c", 2)
    for _ in range(2):
        claim = await stage.commit(claim)


async def test_what_is_refused_leaves_an_archived_workflow_where_it_is(
    stage: RecoveryStage, archive: PostgresArchive
) -> None:
    await finished(stage)
    await stage.pool.execute(OLD)
    workflow_id = await stage.pool.fetchval("SELECT id FROM workflow_instances")
    await archive.archive_some(finished=AGE, failed=AGE, limit=10)
    result = await stage.command(RecoveryKind.RECOVER, workflow_id)
    assert (result["outcome"], result["problem"]) == ("refused", "wrong-status")
    assert await stage.pool.fetchval("SELECT count(*) FROM archived_workflows") == 1
    assert await stage.pool.fetchval("SELECT count(*) FROM workflow_instances") == 0


async def test_a_column_that_is_younger_than_the_archive_gets_its_default(
    stage: RecoveryStage, archive: PostgresArchive
) -> None:
    workflow_id = await failed_long_ago(stage)
    await archive.archive_some(finished=AGE, failed=AGE, limit=10)
    await stage.pool.execute(
        "UPDATE archived_workflows SET document = document #- '{workflow,recoveries_since_progress}'"
    )
    assert (await stage.command(RecoveryKind.RECOVER, workflow_id))["outcome"] == RecoveryOutcome.RESUMED


async def test_what_is_purged_leaves_its_id_and_an_audit_entry(stage: RecoveryStage, archive: PostgresArchive) -> None:
    workflow = await stage.completed()
    await stage.pool.execute(OLD)
    await archive.archive_some(finished=AGE, failed=None, limit=10)
    assert await archive.purge_some(older_than=AGE, limit=10) == 0, "it was archived a moment ago"
    await stage.pool.execute("UPDATE archived_workflows SET archived_at = archived_at - interval '1 year'")
    assert await archive.purge_some(older_than=AGE, limit=10) == 1
    assert await archive.purge_some(older_than=AGE, limit=10) == 0, "it is purged once"
    left = await stage.pool.fetchrow("SELECT owner_id, document::text AS document FROM archived_workflows")
    assert left is not None
    assert left["owner_id"] == ""
    assert list(json.loads(left["document"])["workflow"]) == ["content_hash"]
    entry = await stage.pool.fetchrow("SELECT action, actor, before::text FROM audit_log WHERE action = 'purge'")
    assert entry is not None
    assert (entry["actor"], json.loads(entry["before"])["status"]) == ("system", "Completed")
    assert await stage.executor().start(workflow) is StartVerdict.KNOWN, "an id is taken for good"
    refused = await stage.command(RecoveryKind.RESTORE, workflow.workflow_id, checkpoint_seq=1)
    assert refused["problem"] == "unknown-workflow", "what is purged cannot come back"
