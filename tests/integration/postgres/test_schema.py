"""The schema goes forward and back, and the code's picture of it is true."""

import asyncio

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from ratchet.adapters.postgres.migrate import migrate, migration_engine, newest_revision
from ratchet.adapters.postgres.recovery_tables import METADATA
from ratchet.domain.workflow import WorkflowStatus
from sqlalchemy import Connection

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


async def tables_of(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row["table_name"] for row in await connection.fetch(TABLES)}
    finally:
        await connection.close()


async def test_the_schema_goes_back_to_nothing_and_forward_again(database_url: str) -> None:
    before = await tables_of(database_url)
    await migrate(database_url, "base")
    assert await tables_of(database_url) == {"alembic_version"}
    await migrate(database_url)
    assert await tables_of(database_url) == before


async def test_many_processes_may_migrate_at_once(database_url: str) -> None:
    await migrate(database_url, "base")
    await asyncio.gather(*(migrate(database_url) for _ in range(4)))
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == newest_revision()
    await connection.close()


async def test_the_enum_has_the_seven_labels_of_the_code(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    labels = await connection.fetchval("SELECT enum_range(NULL::workflow_status)::text[]")
    await connection.close()
    assert labels == [status.value for status in WorkflowStatus]


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = compare_metadata(context, METADATA)
    # Indexes, constraints and defaults live in the migrations alone; columns and types have to agree.
    return [
        item for item in found if isinstance(item, tuple) and item[0] in {"add_column", "remove_column", "add_table"}
    ]


async def test_the_tables_in_code_have_the_columns_of_the_schema(database_url: str) -> None:
    engine = migration_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'Failed'", "workflow_instances_failed_says_why"),
        ("claim_token = gen_random_uuid()", "workflow_instances_claim_has_lease"),
    ],
)
async def test_the_database_itself_refuses_rows_that_make_no_sense(
    pool: asyncpg.Pool, change: str, constraint: str
) -> None:
    await pool.execute(
        "INSERT INTO workflow_instances (id, definition, version, owner_id, status, input, content_hash,"
        " correlation_id, command_id) VALUES (gen_random_uuid(), 'd', 1, 'o', 'InProgress', '{}', '', 'c', 'm')"
    )
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await pool.execute(f"UPDATE workflow_instances SET {change}")
