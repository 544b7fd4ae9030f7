"""deploy/postgres on a real server: each service's role can do its work, and nothing else."""

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from local_stack.databases import create_database, drop_database
from local_stack.postgres_place import packaged_programs
from local_stack.servers import RunningServers
from ratchet.adapters.postgres.migrate import migrate

from tests.harness.administrator import administrator_url, with_login

SQL = Path(__file__).parent.parent.parent / "deploy" / "postgres"
SERVICES = ("executor", "recovery", "notifier", "admin_api")
HISTORY = ("audit_log", "audit_chain", "checkpoints", "step_attempts", "recovery_attempts", "recovery_verdicts")
CHANGE = "correlation_id = ''"
CHANGES = {"checkpoints": "state = '{}'", "audit_chain": "hash = ''", "recovery_verdicts": "verdict = ''"}
PASSWORD = "role-test"


@dataclass(frozen=True, slots=True)
class Roles:
    """A database that was set up as deploy/compose.yaml does it, with roles under names of this run's own."""

    url: str
    prefix: str

    def url_of(self, service: str) -> str:
        """How the service, or `owner`, connects."""
        return with_login(self.url, f"{self.prefix}_{service}", PASSWORD)


@pytest.fixture(scope="module")
def roles(servers: RunningServers) -> Iterator[Roles]:
    """Roles, then migrations by the owner, then grants by the owner."""
    name = f"roles_{uuid.uuid4().hex[:8]}"
    url = create_database(servers.database_url, name)
    made = Roles(url, prefix=name)
    administrator = administrator_url(servers, url)
    try:
        _psql(administrator, "roles.sql", made.prefix)
        asyncio.run(migrate(made.url_of("owner")))
        _psql(made.url_of("owner"), "grants.sql", made.prefix)
        # Both are safe to repeat.
        _psql(administrator, "roles.sql", made.prefix)
        _psql(made.url_of("owner"), "grants.sql", made.prefix)
        yield made
    finally:
        drop_database(servers.database_url, name)
        asyncio.run(_drop_roles(administrator_url(servers, servers.database_url), made.prefix))


@pytest.fixture
async def owner(roles: Roles) -> AsyncIterator[asyncpg.Connection]:
    """The owner of the schema, who sees every table."""
    connection = await asyncpg.connect(roles.url_of("owner"))
    yield connection
    await connection.close()


WORKFLOW = """
INSERT INTO workflow_instances (id, definition, version, owner_id, status, input, content_hash, correlation_id,
    command_id)
VALUES (gen_random_uuid(), 'd', 1, 'sarah', 'NotStarted', '{}', '', 'c', 'm')
"""
CHECKPOINT = """
INSERT INTO checkpoints (workflow_id, seq, step_index, step_id, attempt, state, checksum)
VALUES (gen_random_uuid(), 1, 0, 's', 1, '{}', '')
"""
ATTEMPT = """
INSERT INTO step_attempts (workflow_id, step_index, step_id, attempt, kind, error_class, reason, correlation_id,
    claim_token, executor, started_at)
VALUES (gen_random_uuid(), 0, 's', 1, 'transient', 'E', 'r', 'c', gen_random_uuid(), 'x', now())
"""
RECOVERY = """
INSERT INTO recovery_attempts (id, workflow_id, kind, actor, outcome, correlation_id)
VALUES ('r', gen_random_uuid(), 'rescue', 'system', 'resumed', 'c')
"""
AUDIT = "INSERT INTO audit_log (actor, action, outcome, correlation_id) VALUES ('a', 'recover', 'done', 'c')"
MESSAGE = """
INSERT INTO outbox (message_id, exchange, routing_key, type, body, correlation_id)
VALUES ('m', 'e', 'k', 't', '{}', 'c')
"""
DEFINITION = "INSERT INTO workflow_definitions (name, version, steps, fingerprint) VALUES ('d', 1, '[]', 'f')"
PARKED = """
INSERT INTO parked_messages (id, exchange, routing_key, body, reason, parked_by)
VALUES (gen_random_uuid(), 'e', 'k', '', 'r', 'x') ON CONFLICT (id) DO NOTHING
"""
NOTIFICATION = """
INSERT INTO notifications (feed, seq, event_id, type, workflow_id, data, occurred_at)
VALUES ('user:sarah', 1, 'e', 'WORKFLOW_COMPLETED', gen_random_uuid(), '{}', now())
"""
KEY = "INSERT INTO idempotency_keys (principal, key, route, body_hash) VALUES ('sarah', 'k', 'r', '')"

ALLOWED = {
    "executor": (
        *(WORKFLOW, CHECKPOINT, ATTEMPT, RECOVERY, AUDIT, MESSAGE, DEFINITION, PARKED),
        "SELECT * FROM workflow_instances FOR UPDATE",
        "UPDATE workflow_instances SET updated_at = now()",
        "DELETE FROM outbox",
        "SET LOCAL synchronous_commit = off",
        "SELECT * FROM archived_workflows",
        "INSERT INTO executors (executor, pools) VALUES ('e', '{default}')",
        "DELETE FROM executors",
        "SELECT workflow_id FROM accepted_starts",
    ),
    "recovery": (
        *(CHECKPOINT, ATTEMPT, RECOVERY, AUDIT, MESSAGE, PARKED),
        "SELECT * FROM workflow_instances FOR UPDATE SKIP LOCKED",
        "SELECT * FROM outbox FOR UPDATE SKIP LOCKED",
        "UPDATE workflow_instances SET updated_at = now()",
        "DELETE FROM outbox",
        "SELECT * FROM workflow_definitions",
        "SELECT * FROM executors JOIN executor_definitions USING (executor)",
        "SELECT workflow_id FROM accepted_starts",
        "SELECT workflow_id FROM archived_workflows",
        "NOTIFY ratchet_recoveries, 'x'",
        "SELECT * FROM recovery_watches FOR UPDATE SKIP LOCKED",
        "INSERT INTO recovery_watches (recovery_id, workflow_id) VALUES ('r', gen_random_uuid())",
        "DELETE FROM recovery_watches",
        "DELETE FROM audit_unsealed",
        "INSERT INTO audit_chain (position, audit_id, hash) VALUES (1, 1, '')",
        "UPDATE scan_state SET breaker = 'closed'",
        "SELECT * FROM bulk_recoveries FOR UPDATE SKIP LOCKED",
        "UPDATE bulk_recovery_items SET outcome = 'started'",
        "SELECT archive_finished('1 day', 10)",
        "SELECT archive_old('1 day', '1 day', 10)",
        "SELECT bring_back_archived(gen_random_uuid())",
        "SELECT * FROM purge_archive('1 day', 10)",
        "SELECT * FROM recovery_requests",
    ),
    "notifier": (
        *(NOTIFICATION, PARKED),
        "INSERT INTO user_feeds (feed) VALUES ('all') ON CONFLICT (feed) DO UPDATE SET newest = user_feeds.newest + 1",
        "SELECT * FROM user_feeds FOR UPDATE",
        "INSERT INTO feed_readers (feed, reader) VALUES ('all', 'ann')",
        "DELETE FROM notifications",
    ),
    "admin_api": (
        *(KEY, AUDIT, MESSAGE),
        "SELECT * FROM workflow_instances, checkpoints, step_attempts, workflow_definitions, recovery_attempts",
        "SELECT * FROM outbox, audit_log, notifications, user_feeds, parked_messages",
        "DELETE FROM idempotency_keys",
        "DELETE FROM parked_messages",
        "DELETE FROM outbox",
        "LISTEN ratchet_recoveries",
        "SELECT * FROM audit_chain, recovery_verdicts, recovery_watches, scan_state, archived_workflows",
        "SELECT * FROM archived_failures",
        "UPDATE bulk_recoveries SET state = 'cancelled'",
    ),
}

FORBIDDEN = {
    "executor": (
        "DELETE FROM workflow_instances",
        "SELECT * FROM audit_log",
        "SELECT * FROM notifications",
        "SELECT * FROM idempotency_keys",
    ),
    "recovery": (
        WORKFLOW,
        DEFINITION,
        "DELETE FROM workflow_instances",
        "SELECT * FROM idempotency_keys",
        NOTIFICATION,
    ),
    "notifier": (
        WORKFLOW,
        AUDIT,
        MESSAGE,
        "UPDATE workflow_instances SET updated_at = now()",
        "SELECT * FROM checkpoints",
        "SELECT * FROM audit_log",
    ),
    "admin_api": (
        *(WORKFLOW, CHECKPOINT, ATTEMPT, DEFINITION, RECOVERY),
        "UPDATE workflow_instances SET status = 'Completed'",
        "SELECT * FROM workflow_instances FOR UPDATE",
        "UPDATE outbox SET exchange = ''",
        "DELETE FROM notifications",
    ),
}
FORBIDDEN_TO_ALL = (
    *(f"UPDATE {table} SET {CHANGES.get(table, CHANGE)}" for table in HISTORY),
    *(f"DELETE FROM {table}" for table in HISTORY),
    *(f"TRUNCATE {table}" for table in ("outbox", *HISTORY)),
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE mine (a int)",
    "ALTER TABLE workflow_instances DROP COLUMN input",
    "DROP TABLE outbox",
    "UPDATE alembic_version SET version_num = ''",
    "CREATE ROLE another",
    "SELECT pg_read_file('/etc/passwd')",
)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_may_do_its_work(service: str, roles: Roles) -> None:
    connection = await asyncpg.connect(roles.url_of(service))
    try:
        for statement in (*ALLOWED[service], "SELECT version_num FROM alembic_version"):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(statement)
            await transaction.rollback()
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_may_do_nothing_else(service: str, roles: Roles) -> None:
    connection = await asyncpg.connect(roles.url_of(service))
    try:
        for statement in (*FORBIDDEN[service], *FORBIDDEN_TO_ALL):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_every_table_has_been_given_to_somebody(owner: asyncpg.Connection, roles: Roles) -> None:
    given = await owner.fetch(
        "SELECT DISTINCT table_name FROM information_schema.role_table_grants WHERE grantee LIKE $1 || '%'"
        " AND grantee <> $1 || '_owner'",
        roles.prefix,
    )
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    missing = {row["tablename"] for row in tables} - {row["table_name"] for row in given}
    assert not missing, "say in deploy/postgres/grants.sql who may use these tables"


async def test_history_can_only_grow(owner: asyncpg.Connection, roles: Roles) -> None:
    rights = await owner.fetch(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee LIKE $1 || '%' AND grantee <> $1 || '_owner' AND table_name = ANY($2::text[])",
        roles.prefix,
        list(HISTORY),
    )
    assert {row["privilege_type"] for row in rights} <= {"SELECT", "INSERT"}


async def test_the_owner_of_the_schema_is_noadministrator_url(owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute("CREATE ROLE another")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute("CREATE DATABASE another")


async def test_an_old_grant_is_taken_back(owner: asyncpg.Connection, roles: Roles) -> None:
    await owner.execute(f"GRANT DELETE ON audit_log TO {roles.prefix}_notifier")
    await asyncio.to_thread(_psql, roles.url_of("owner"), "grants.sql", roles.prefix)
    rights = "SELECT has_table_privilege($1, 'audit_log', 'DELETE')"
    assert await owner.fetchval(rights, f"{roles.prefix}_notifier") is False


def _psql(url: str, script: str, prefix: str) -> None:
    text = (SQL / script).read_text().replace("ratchet_", f"{prefix}_")
    passwords = {f"{name.upper()}_PASSWORD": PASSWORD for name in ("owner", *SERVICES)}
    result = subprocess.run(
        [_psql_program(), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", url],
        input=text,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"} | passwords,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def _psql_program() -> str:
    return shutil.which("psql") or str(packaged_programs() / "psql")


async def _drop_roles(url: str, prefix: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for name in ("owner", *SERVICES):
            await connection.execute(f'DROP ROLE IF EXISTS "{prefix}_{name}"')
    finally:
        await connection.close()
