"""The recovery service's composition root: everything is built here, once, and handed to who needs it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import asyncpg
import structlog
from faststream.rabbit import RabbitBroker
from ratchet.adapters.parking import Parking
from ratchet.adapters.postgres import gauges, outbox
from ratchet.adapters.postgres.engine import connect_pool
from ratchet.adapters.postgres.recovery_store import PostgresRecovery
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.consumer import consume, consumer_broker, is_consuming, stop_intake
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages.commands import RecoveryCommand, encode
from ratchet.messages.commands import RestartScan as RestartScanCommand
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import COMMANDS, Route, recovery_key
from ratchet.observability.health import Check, health_routes
from ratchet.observability.metrics import RecoveryMetrics, new_registry
from ratchet.settings import Settings
from starlette.applications import Starlette

from recovery.handle_command import HandleCommand
from recovery.look_after import LookAfter
from recovery.relay_outbox import RelayOutbox
from recovery.restart_scan import RestartScan
from recovery.subscribers import CommandSubscriber, DeadLetterSubscriber

log = structlog.get_logger()


def create_app(settings: Settings) -> Starlette:
    """The recovery service as an ASGI app: its work runs in the lifespan, its health is what is served."""
    numbers = new_registry()
    metrics = RecoveryMetrics(numbers)
    checks: dict[str, Check] = {}

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(settings, metrics, stack, checks)
            yield

    return Starlette(routes=health_routes(numbers, checks), lifespan=lifespan)


@dataclass(frozen=True, slots=True)
class _Servers:
    pool: asyncpg.Pool
    publisher: Publisher
    broker: RabbitBroker


async def _start(settings: Settings, metrics: RecoveryMetrics, stack: AsyncExitStack, checks: dict[str, Check]) -> None:
    servers = await _connect(settings, stack)
    store = PostgresRecovery(servers.pool, servers.publisher)
    parking = Parking(servers.pool, servers.publisher, service="recovery", parked=metrics.parked)
    look_after = LookAfter(store, metrics)
    scan = RestartScan(
        store=store,
        look_after=look_after,
        metrics=metrics,
        stale_after=settings.stale_after,
        concurrency=settings.recovery_concurrency,
        observe=_gauge_reader(servers.pool, metrics),
    )
    commands = CommandSubscriber(HandleCommand(store, metrics), scan, parking)
    consume(servers.broker, topology.RECOVERY_QUEUES[0], commands, prefetch=20)
    consume(servers.broker, topology.RECOVERY_QUEUES[1], DeadLetterSubscriber(look_after, parking), prefetch=20)
    checks.update(_checks(servers))
    await servers.broker.start()
    stack.push_async_callback(stop_intake, servers.broker)
    relay = RelayOutbox(_relay(servers, settings.relay_after), metrics, interval=settings.relay_interval)
    for work in (relay.run(), _ask_for_scans(servers.publisher, settings)):
        stack.push_async_callback(_cancel, asyncio.create_task(work))
    log.info("recovery.ready")


async def _connect(settings: Settings, stack: AsyncExitStack) -> _Servers:
    amqp_url = settings.amqp_url.get_secret_value()
    pool = await connect_pool(settings.database_url.get_secret_value(), application="recovery", size=10)
    stack.push_async_callback(_close_pool, pool)
    publisher = await Publisher.open(amqp_url, name="ratchet-recovery-publisher")
    stack.push_async_callback(publisher.close)
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
    broker = consumer_broker(amqp_url, name="ratchet-recovery")
    stack.push_async_callback(broker.stop)
    return _Servers(pool, publisher, broker)


def _checks(servers: _Servers) -> dict[str, Check]:
    async def database() -> bool:
        return bool(await servers.pool.fetchval("SELECT true"))

    async def broker() -> bool:
        return servers.publisher.is_connected

    async def subscribed() -> bool:
        return is_consuming(servers.broker)

    return {"database": database, "broker": broker, "subscribed": subscribed}


def _relay(servers: _Servers, older_than: timedelta) -> Callable[[int], Awaitable[int]]:
    async def relay_some(limit: int) -> int:
        return await outbox.relay(servers.pool, servers.publisher, older_than=older_than, limit=limit)

    return relay_some


def _gauge_reader(pool: asyncpg.Pool, metrics: RecoveryMetrics) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        numbers = await gauges.read(pool)
        metrics.needing_attention.set(numbers.needing_attention)
        metrics.outbox.set(numbers.outbox)
        metrics.outbox_age.set(numbers.outbox_seconds)

    return read


async def _ask_for_scans(publisher: Publisher, settings: Settings) -> None:
    """Ask the queue rather than scan at once: whatever instance is free takes it."""
    await asyncio.sleep(settings.recovery_startup_delay.total_seconds())
    reason = "recovery started"
    while True:
        try:
            await publisher.publish([_scan_request(reason, settings.scan_interval)])
        except Exception as error:  # whatever it was, the next round asks again
            log.warning("scan.not_requested", error=type(error).__name__)
        reason = "interval"
        await asyncio.sleep(settings.scan_interval.total_seconds())


def _scan_request(reason: str, expires: timedelta) -> Outgoing:
    return Outgoing(
        route=Route(COMMANDS, recovery_key(RecoveryCommand.RESTART_SCAN)),
        message_id=str(uuid4()),
        type=RecoveryCommand.RESTART_SCAN.value,
        body=encode(RestartScanCommand(reason=reason)),
        correlation_id=str(uuid4()),
        delay=expires,
    )


async def _close_pool(pool: asyncpg.Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), timeout=2)
    except TimeoutError:
        pool.terminate()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
