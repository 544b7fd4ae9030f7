"""Finished workflows go to the archive with everything that belongs to them; nothing else does."""

import json
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from ratchet.adapters.postgres.archive import PostgresArchive
from ratchet.domain.recovery import RecoveryKind
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
    assert await archive.archive_some(older_than=AGE, limit=10) == 1
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
    assert await archive.archive_some(older_than=AGE, limit=10) == 0
    await stage.pool.execute("UPDATE workflow_instances SET created_at = now() - interval '1 year'")
    assert await archive.archive_some(older_than=AGE, limit=10) == 0, "it ended a moment ago"


async def test_a_batch_is_no_larger_than_asked_for_and_passes_over_what_is_locked(
    stage: RecoveryStage, archive: PostgresArchive
) -> None:
    for _ in range(3):
        await finished(stage)
    await stage.pool.execute(OLD)
    assert await archive.archive_some(older_than=AGE, limit=1) == 1
    async with stage.pool.acquire() as somebody, somebody.transaction():
        await somebody.fetch("SELECT id FROM workflow_instances LIMIT 1 FOR UPDATE")
        assert await archive.archive_some(older_than=AGE, limit=10) == 1
    assert await archive.archive_some(older_than=AGE, limit=10) == 1


async def test_an_archived_workflow_is_not_started_again(stage: RecoveryStage, archive: PostgresArchive) -> None:
    """The same start may come again long after; and somebody may use its id for something else."""
    workflow = await stage.completed()
    await stage.pool.execute(OLD)
    assert await archive.archive_some(older_than=AGE, limit=1) == 1
    executor = stage.executor()
    neighbour = replace(workflow, workflow_id=uuid.uuid4(), claim=uuid.uuid4())
    other = replace(workflow, content_hash=b"something else")
    verdicts = [await executor.start(item) for item in (workflow, neighbour, other)]
    assert verdicts == [StartVerdict.KNOWN, StartVerdict.NEW, StartVerdict.CONFLICT]
    assert await stage.pool.fetchval("SELECT array_agg(id) FROM workflow_instances") == [neighbour.workflow_id]
