"""A database that answers and refuses: no command is parked for it, no step fails for it, nothing is done twice."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import aio_pika
import asyncpg
import pytest
from local_stack.servers import RunningServers
from ratchet.messages.commands import RecoveryCommand
from ratchet.messages.routes import recovery_key

from tests.harness.administrator import administrator_url, with_login
from tests.integration.executor.processes import Site, until

ROLE = "refused_later"


class Trouble:
    """Statements that bring it, and that end it; `sign` is what the services' logs call it."""

    def __init__(self, sign: str, begin: str, end: str) -> None:
        self.sign, self.begin, self.end = sign, begin, end


TROUBLES = {
    "takes-no-writes": Trouble(
        "read-only",
        "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()",
        "SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only;"
        " SELECT pg_reload_conf()",
    ),
    "refuses-the-login": Trouble(
        "refused",
        f"ALTER ROLE {ROLE} NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
        f"ALTER ROLE {ROLE} LOGIN",
    ),
    "lacks-a-column": Trouble(
        "unfit",
        "ALTER TABLE workflow_instances RENAME updated_at TO updated_then",
        "ALTER TABLE workflow_instances RENAME updated_then TO updated_at",
    ),
}


@pytest.fixture
async def administrator(servers: RunningServers, site: Site) -> AsyncIterator[asyncpg.Connection]:
    """Who can trouble the services of the site: they have a role of their own. The trouble ends with the test."""
    connection = await asyncpg.connect(administrator_url(servers, site.database_url))
    await connection.execute(f"CREATE ROLE {ROLE} LOGIN SUPERUSER PASSWORD '{ROLE}'")
    site.database_url = with_login(site.database_url, ROLE, ROLE)
    yield connection
    await run(connection, TROUBLES["takes-no-writes"].end)
    site.close()
    await run(connection, f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER; DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    await connection.close()


async def run(connection: asyncpg.Connection, statements: str) -> None:
    """One after the other: some of them may not stand in a transaction."""
    for statement in statements.split(";"):
        await connection.execute(statement)


async def send(site: Site, key: str, **body: object) -> None:
    await site.publish(key, body)


async def left(site: Site) -> int:
    """Messages in all queues where something could have been set aside."""
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        channel = await connection.channel()
        queues = ("executor.steps.default", "recovery.commands", "recovery.dead-letters", "ratchet.parked")
        found = [await channel.declare_queue(queue, passive=True) for queue in queues]
        return sum(queue.declaration_result.message_count or 0 for queue in found)


async def waits(site: Site, service: str, sign: str) -> None:
    """Until a service has met the trouble at least twice."""

    async def met() -> bool:
        lines = (site.folder / f"{service}.log").read_text().splitlines()
        return sum('"message.waiting_for_server"' in line and f'"{sign}"' in line for line in lines) >= 2

    await until(f"{service} to wait for the database ({sign})", met)


@pytest.mark.parametrize("name", TROUBLES)
async def test_what_comes_while_the_database_refuses_is_carried_out_afterwards(
    site: Site, administrator: asyncpg.Connection, name: str
) -> None:
    trouble = TROUBLES[name]
    site.start("executor")
    site.start("recovery")
    await site.reaches(await site.begin("crashing"), "Completed")
    driven, paused, under_way = [await site.begin(kind) for kind in ("awaiting", "awaiting", "lingering")]
    await site.ran("linger")
    for waiting in (driven, paused):
        await site.reaches(waiting, "InProgress")
    await site.logs("recovery-1", "recovery.ready")

    await run(administrator, trouble.begin)
    starts = [await site.begin("crashing") for _ in range(10)]
    many = uuid.uuid4()
    await site.publish(
        "workflow.start", [{"workflowId": str(many), "definition": "crashing", "ownerId": "sarah", "input": {}}]
    )
    await send(site, "step.execute", workflowId=str(driven), stepId="approve", inputs={"by": "ada"})
    await send(site, recovery_key(RecoveryCommand.PAUSE_WORKFLOW), workflowId=str(paused), actor="ada", reason="lunch")
    await send(site, recovery_key(RecoveryCommand.RESTART_SCAN), reason="a person")
    site.gate.touch()
    await waits(site, "executor-0", trouble.sign)
    await asyncio.sleep(1.0)
    await run(administrator, trouble.end)

    for workflow in (*starts, many, driven, under_way):
        await site.reaches(workflow, "Completed")
    await site.reaches(paused, "Paused")

    async def all_gone() -> bool:
        return await left(site) == 0

    await until("all commands to be carried out", all_gone)
    assert await site.count("SELECT count(*) FROM parked_messages") == 0
    assert await site.count("SELECT count(*) FROM step_attempts") == 0, "a database that refuses is no attempt"
    assert site.counted_effects()["linger"] == 1, "what was done is committed, not done again"
    assert all(process.poll() is None for process in site.running), "the same processes all along"


async def test_data_that_the_database_refuses_are_parked_whole_and_hold_up_nobody(site: Site) -> None:
    site.start("executor")
    driven = await site.begin("awaiting")
    await site.reaches(driven, "InProgress")
    refused = uuid.uuid4()
    body = {"workflowId": str(refused), "definition": "crashing", "ownerId": "sarah", "input": {"name": "a\x00b"}}
    await site.publish("workflow.start", body)
    await send(site, "step.execute", workflowId=str(driven), stepId="approve", inputs={"by": "a\x00b"})
    others = [await site.begin("crashing") for _ in range(5)]
    for workflow in others:
        await site.reaches(workflow, "Completed")

    async def both_parked() -> bool:
        return await site.count("SELECT count(*) FROM parked_messages") == 2

    await until("both to be parked", both_parked)
    rows = await site.connection.fetch("SELECT exchange, routing_key FROM parked_messages ORDER BY routing_key")
    assert [tuple(row) for row in rows] == [
        ("ratchet.commands", "step.execute"),
        ("ratchet.commands", "workflow.start"),
    ]
    await send(site, "step.execute", workflowId=str(driven), stepId="approve", inputs={"by": "ada"})
    await site.reaches(driven, "Completed")
