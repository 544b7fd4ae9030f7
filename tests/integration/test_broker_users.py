"""deploy/rabbitmq on a real broker: each service's user can do its work, and nothing else."""

import asyncio
import importlib.util
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity
from local_stack.folder import read_json
from local_stack.rabbitmq import RabbitmqRecipe, find_scripts
from local_stack.secret_store import stack_secrets
from local_stack.servers import RunningServers
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages import routes

SCRIPT = Path(__file__).parent.parent.parent / "deploy" / "rabbitmq" / "prepare_broker.py"
PASSWORD = "user-test"
DELAYS = [timedelta(seconds=2)]
SERVICES = ("ratchet_executor", "ratchet_recovery", "ratchet_notifier", "ratchet_admin_api", "ratchet_upstream")

Attempt = Callable[[AbstractChannel], Awaitable[object]]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_broker", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class Broker:
    """A namespace of its own with the users of the script and the whole topology."""

    url: str

    def url_of(self, user: str) -> str:
        """How that user connects."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=f"{user}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"))

    async def attempt(self, user: str, what: Attempt) -> None:
        """Try something on a fresh connection; raises what the broker answers."""
        connection = await aio_pika.connect(self.url_of(user))
        async with connection:
            await what(await connection.channel(on_return_raises=True))


@pytest.fixture(scope="module")
def broker(servers: RunningServers) -> Broker:
    """Users and rights as the set-up gives them, then the topology by the administrator."""
    if servers.kind != "native" or "rabbitmq" not in servers.own:
        pytest.skip("users can only be made on the RabbitMQ that this test run started itself")
    name = f"users_{uuid.uuid4().hex[:8]}"
    [url] = servers.create_vhosts([name])
    _import(servers, name)
    asyncio.run(_declare(url, ["default"]))
    return Broker(url)


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_starts_though_it_may_not_declare_what_is_not_its_own(user: str, broker: Broker) -> None:
    await _declare(broker.url_of(user), ["default"])


async def test_an_executor_declares_the_queues_of_its_own_pools_and_delays(broker: Broker) -> None:
    await _declare(broker.url_of("ratchet_executor"), ["default", "mail"], [*DELAYS, timedelta(seconds=7)])
    await broker.attempt("ratchet_upstream", lambda channel: channel.declare_queue("executor.steps.mail", passive=True))
    await broker.attempt("ratchet_upstream", lambda channel: channel.declare_queue("executor.retry.7000", passive=True))


async def test_a_service_is_told_when_something_is_missing_that_it_may_not_declare(broker: Broker) -> None:
    with pytest.raises(ChannelNotFoundEntity):
        await _declare(broker.url_of("ratchet_notifier"), ["pool-that-nobody-made"])


CONSUMES = {
    "ratchet_executor": {routes.steps_queue("default")},
    "ratchet_recovery": {routes.RECOVERY_COMMANDS, routes.RECOVERY_DEAD_LETTERS, routes.PARKED},
    "ratchet_notifier": {routes.NOTIFIER_EVENTS},
    "ratchet_admin_api": set(),
    "ratchet_upstream": set(),
}
ALL_CONSUMED = set().union(*CONSUMES.values())


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_reads_its_own_queues_and_no_others(user: str, broker: Broker) -> None:
    for queue in ALL_CONSUMED:
        if queue in CONSUMES[user]:
            await broker.attempt(user, _consume(queue))
        else:
            with pytest.raises(ChannelAccessRefused):
                await broker.attempt(user, _consume(queue))


START = (routes.COMMANDS, routes.START)
EVENT = (routes.EVENTS, "WORKFLOW_COMPLETED")
DEAD = (routes.DEAD, "")
RETRY = (routes.retry_name(DELAYS[0]), routes.step_key("default"))
DIRECT = ("", routes.PARKED)
PUBLISHES = {
    "ratchet_executor": {START, EVENT, DEAD, RETRY, DIRECT},
    "ratchet_recovery": {START, EVENT, DEAD, RETRY, DIRECT},
    "ratchet_notifier": {DIRECT},
    "ratchet_admin_api": {START},
    "ratchet_upstream": {START},
}


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_publishes_only_where_its_work_leads(user: str, broker: Broker) -> None:
    for route in (START, EVENT, DEAD, RETRY, DIRECT):
        if route in PUBLISHES[user]:
            await broker.attempt(user, _publish(*route))
        else:
            with pytest.raises(ChannelAccessRefused):
                await broker.attempt(user, _publish(*route))


@pytest.mark.parametrize("user", SERVICES)
async def test_no_service_can_spy_or_destroy(user: str, broker: Broker) -> None:
    forbidden: list[Attempt] = [
        lambda channel: channel.declare_queue("spy"),
        lambda channel: channel.declare_exchange("spy"),
        lambda channel: channel.exchange_delete(routes.COMMANDS),
        lambda channel: channel.queue_delete(routes.PARKED, if_unused=False, if_empty=False),
    ]
    for what in forbidden:
        with pytest.raises(ChannelAccessRefused):
            await broker.attempt(user, what)


def _consume(queue: str) -> Attempt:
    async def consume(channel: AbstractChannel) -> None:
        found = await channel.get_queue(queue, ensure=False)
        await found.consume(_ignore)

    return consume


async def _ignore(_message: object) -> None:
    pass


def _publish(exchange: str, key: str) -> Attempt:
    async def publish(channel: AbstractChannel) -> None:
        to = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await to.publish(aio_pika.Message(b"{}"), key)

    return publish


async def _declare(url: str, pools: list[str], delays: list[timedelta] = DELAYS) -> None:
    publisher = await Publisher.open(url, name="broker-users-test")
    try:
        async with publisher.connection.channel() as channel:
            await topology.declare(channel, pools=pools, delays=delays)
    finally:
        await publisher.close()


def _import(servers: RunningServers, vhost: str) -> None:
    users = _script().USERS
    definitions = {
        "users": [{"name": user.name, "password": PASSWORD, "tags": ""} for user in users],
        "permissions": [{"user": user.name, "vhost": vhost, **user.rights} for user in users],
    }
    folder = servers.folder
    scripts = find_scripts()
    assert scripts is not None
    recipe = RabbitmqRecipe(folder, read_json(folder.ports_file), stack_secrets(folder), scripts)
    file = folder.root / "users.json"
    file.write_text(json.dumps(definitions))
    recipe.control("import_definitions", str(file))
