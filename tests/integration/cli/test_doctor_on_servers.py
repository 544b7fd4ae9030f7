"""The doctor on real servers: what is broken is found and named, and looking changes nothing."""

from datetime import timedelta

import aio_pika
import asyncpg
import pytest
from local_stack.servers import RunningServers
from ratchet.adapters.postgres import definitions
from ratchet.adapters.rabbitmq import topology
from ratchet.cli.doctor.check_postgres import check_postgres
from ratchet.cli.doctor.check_rabbitmq import check_rabbitmq
from ratchet.cli.doctor.check_redis import check_redis
from ratchet.cli.doctor.expected import Expected, registered
from ratchet.cli.doctor.findings import Finding, Level
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.retry import Retry

EXPECTED = Expected(frozenset({"default"}), frozenset({timedelta(0), timedelta(seconds=2)}))


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.subject: finding.level for finding in findings}


def finding_of(findings: list[Finding], subject: str) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


@pytest.fixture
async def declared(amqp_url: str) -> str:
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        await topology.declare(channel, pools=EXPECTED.pools, delays=EXPECTED.delays)
    return amqp_url


async def test_what_the_services_declared_is_as_it_should_be(declared: str) -> None:
    found = await check_rabbitmq(declared, EXPECTED)
    assert Level.RED not in levels(found).values()
    assert levels(found)["queue executor.retry.2000"] is Level.OK
    assert levels(found)["round trip"] is Level.OK


async def test_a_fresh_broker_lacks_everything_and_gets_nothing_from_the_doctor(amqp_url: str) -> None:
    for _ in range(2):
        found = levels(await check_rabbitmq(amqp_url, EXPECTED))
        assert found["exchange ratchet.commands"] is Level.RED
        assert found["queue executor.steps.default"] is Level.RED
        assert found["round trip"] is Level.OK


async def test_a_queue_with_another_argument_is_red_and_the_argument_is_named(declared: str) -> None:
    queue = topology.steps_queue("default")
    weaker = {**queue.all_arguments, "x-delivery-limit": 3}
    async with await aio_pika.connect(declared) as connection, connection.channel() as channel:
        await channel.queue_delete(queue.name)
        await channel.declare_queue(queue.name, durable=True, arguments=weaker)
    finding = finding_of(await check_rabbitmq(declared, EXPECTED), "queue executor.steps.default")
    assert finding.level is Level.RED
    assert "x-delivery-limit" in finding.found
    assert "delete it" in finding.advice


async def test_a_queue_that_could_lose_dead_letters_is_red(declared: str) -> None:
    queue = topology.steps_queue("default")
    weaker = {name: value for name, value in queue.all_arguments.items() if name != "x-dead-letter-strategy"}
    async with await aio_pika.connect(declared) as connection, connection.channel() as channel:
        await channel.queue_delete(queue.name)
        await channel.declare_queue(queue.name, durable=True, arguments=weaker)
    finding = finding_of(await check_rabbitmq(declared, EXPECTED), "queue executor.steps.default")
    assert finding.level is Level.RED
    assert "x-dead-letter-strategy" in finding.found


async def test_queues_of_registered_workflows_are_expected_too(database_url: str, declared: str) -> None:
    step = StepDefinition("send", pool="mail", retry=Retry(0, 30))
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    async with pool:
        await definitions.register(pool, [WorkflowDefinition("x", 1, (step,))])
    expected = EXPECTED.joined(await registered(database_url))
    found = await check_rabbitmq(declared, expected)
    assert levels(found)["queue executor.retry.30000"] is Level.RED
    assert "mail in RATCHET_POOLS" in finding_of(found, "queue executor.steps.mail").advice


async def test_a_migrated_database_is_fine(database_url: str) -> None:
    assert set(levels(await check_postgres(database_url)).values()) == {Level.OK}


async def test_an_empty_database_is_red(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP TABLE alembic_version")
    await connection.close()
    assert levels(await check_postgres(database_url))["migrations"] is Level.RED


async def test_a_wrong_password_is_red_and_not_shown(servers: RunningServers) -> None:
    user = servers.database_url.split("://")[1].split(":")[0]
    url = servers.database_url.replace(servers.database_url.split(":")[2].split("@")[0], "wrong-password")
    [finding] = await check_postgres(url)
    assert finding.level is Level.RED
    assert user in finding.found
    assert "wrong-password" not in finding.found


async def test_valkey_is_fine(redis_url: str) -> None:
    assert set(levels(await check_redis(redis_url)).values()) == {Level.OK}
