"""The recovery service's composition root: everything is built here, once, and handed to who needs it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import uuid4

import asyncpg
import structlog
from faststream.rabbit import RabbitBroker
from ratchet.adapters.parked_queue import ParkedQueue
from ratchet.adapters.parking import Parking
from ratchet.adapters.postgres import definitions, gauges, outbox
from ratchet.adapters.postgres.archive import PostgresArchive
from ratchet.adapters.postgres.audit_sealing import PostgresAuditSealer
from ratchet.adapters.postgres.bulk_recoveries import PostgresBulk
from ratchet.adapters.postgres.engine import close_pool, connect_pool
from ratchet.adapters.postgres.overdue import PostgresOverdue
from ratchet.adapters.postgres.parked_rows import ParkedRows
from ratchet.adapters.postgres.recovery_store import PostgresRecovery
from ratchet.adapters.postgres.replays import settle_replays
from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
from ratchet.adapters.postgres.schema import require_schema
from ratchet.adapters.postgres.unserved import PostgresUnserved
from ratchet.adapters.postgres.watches import PostgresWatches
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.consumer import consume, consumer_broker, stop_intake
from ratchet.adapters.rabbitmq.depths import read_depths
from ratchet.adapters.rabbitmq.keep_trying import KeepTrying
from ratchet.adapters.rabbitmq.publisher import Publisher, connect
from ratchet.adapters.readiness import consumer_checks
from ratchet.adapters.starts_under_way import StartsOnTheirWay
from ratchet.background import Background
from ratchet.domain.interruption import Interruption, QueueDepth
from ratchet.messages.commands import RecoveryCommand, encode
from ratchet.messages.commands import RestartScan as RestartScanCommand
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import COMMANDS, Route, recovery_key
from ratchet.observability.health import Check, health_routes
from ratchet.observability.metrics import RecoveryMetrics, new_registry
from ratchet.problem_documents import on_framework_exception
from ratchet.settings import Settings
from ratchet.wait_for_start import WaitForStart
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from recovery.archive_workflows import Ages, ArchiveWorkflows
from recovery.await_executors import AwaitExecutors
from recovery.bring_in_time import BringInTime
from recovery.handle_command import HandleCommand
from recovery.look_after import LookAfter
from recovery.relay_outbox import RelayOutbox
from recovery.restart_scan import RestartScan, Rules, Senses
from recovery.return_commands import ReturnCommands
from recovery.run_bulk import RunBulk
from recovery.seal_audit import SealAudit
from recovery.settle_replays import SettleReplays
from recovery.subscribers import CommandSubscriber, DeadLetterSubscriber
from recovery.tend_parked import TendParked
from recovery.verify_recoveries import VerifyRecoveries

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

    return Starlette(
        routes=health_routes(numbers, checks),
        lifespan=lifespan,
        exception_handlers={HTTPException: on_framework_exception},
    )


@dataclass(frozen=True, slots=True)
class _Servers:
    pool: asyncpg.Pool
    publisher: Publisher
    broker: RabbitBroker
    parked: ParkedQueue

    async def depths(self) -> Mapping[str, QueueDepth]:
        """How full the queue of each pool is."""
        return await read_depths(self.publisher.connection, await definitions.pools(self.pool))


async def _start(settings: Settings, metrics: RecoveryMetrics, stack: AsyncExitStack, checks: dict[str, Check]) -> None:
    servers = await _connect(settings, stack)
    store = PostgresRecovery(servers.pool, servers.publisher)
    parking = Parking(servers.pool, servers.publisher, service="recovery", parked=metrics.parked)
    look_after = LookAfter(store, metrics)
    unserved = AwaitExecutors(PostgresUnserved(store), metrics)
    scan = _scan(settings, servers, look_after, unserved, metrics)
    trying = KeepTrying(parking, metrics.deliveries)
    wait = WaitForStart(StartsOnTheirWay(servers.pool, servers.publisher.connection))
    handle = HandleCommand(store, metrics)
    commands = CommandSubscriber(handle, scan, parking, wait=wait, publisher=servers.publisher)
    consume(servers.broker, topology.RECOVERY_QUEUES[0], commands, prefetch=20, trying=trying)
    dead_letters = DeadLetterSubscriber(
        look_after, ReturnCommands(look_after, servers.publisher, parking, metrics), parking
    )
    consume(servers.broker, topology.RECOVERY_QUEUES[1], dead_letters, prefetch=20, trying=trying)
    checks.update(consumer_checks(servers.pool, servers.publisher, servers.broker, trying))
    background = Background(metrics.background)
    checks["background"] = background.is_well
    await servers.broker.start()
    stack.push_async_callback(stop_intake, servers.broker)
    stack.push_async_callback(background.close)
    for name, work in _background(settings, servers, unserved, metrics).items():
        background.keep(name, work)
    log.info("recovery.ready")


def _scan(
    settings: Settings, servers: _Servers, look_after: LookAfter, unserved: AwaitExecutors, metrics: RecoveryMetrics
) -> RestartScan:
    metrics.scan_interval.set(settings.scan_interval.total_seconds())
    when = Interruption(
        stale_after=settings.stale_after,
        retry_grace=min(settings.retry_grace, settings.stale_after),
        ceiling=max(settings.stale_ceiling, settings.stale_after),
    )

    async def ask_again() -> None:
        await servers.publisher.publish([_scan_request("some wait for a place")])

    return RestartScan(
        store=PostgresRecovery(servers.pool, servers.publisher),
        ledger=PostgresScanLedger(servers.pool),
        unserved=unserved,
        look_after=look_after,
        metrics=metrics,
        rules=Rules(when, settings.recovery_concurrency),
        senses=Senses(servers.depths, _gauge_reader(servers.pool, metrics), ask_again),
    )


def _background(
    settings: Settings, servers: _Servers, unserved: AwaitExecutors, metrics: RecoveryMetrics
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Everything that goes on without being asked; each runs for ever."""
    pool, publisher = servers.pool, servers.publisher
    sealer = PostgresAuditSealer(pool)
    return {
        "relay": RelayOutbox(_relay(servers, settings.relay_after), metrics, interval=settings.relay_interval).run,
        "verdicts": VerifyRecoveries(PostgresWatches(pool, publisher), metrics).run,
        "bulk": RunBulk(PostgresBulk(pool, publisher), metrics, rate=settings.bulk_rate).run,
        "audit-seal": SealAudit(sealer, metrics, waiting=sealer.unsealed).run,
        "archive": ArchiveWorkflows(PostgresArchive(pool), metrics, ages=_ages(settings)).run,
        "parked": TendParked(servers.parked, metrics).run,
        "unserved": unserved.run,
        "replays": SettleReplays(partial(settle_replays, pool)).run,
        "overdue": _bring_in_time(settings, servers, metrics).run,
        "scan-requests": partial(_ask_for_scans, publisher, settings),
    }


def _bring_in_time(settings: Settings, servers: _Servers, metrics: RecoveryMetrics) -> BringInTime:
    pool, publisher = servers.pool, servers.publisher
    store = PostgresOverdue(pool, PostgresRecovery(pool, publisher))
    return BringInTime(store, servers.depths, publisher, metrics, default_limit=len(settings.retry_delays))


def _ages(settings: Settings) -> Ages:
    return Ages.of_settings(settings.archive_after, settings.archive_failed_after, settings.archive_keep)


async def _connect(settings: Settings, stack: AsyncExitStack) -> _Servers:
    amqp_url = settings.amqp_url.get_secret_value()
    pool = await connect_pool(settings.database_url.get_secret_value(), application="recovery", size=10)
    stack.push_async_callback(close_pool, pool)
    await require_schema(pool)
    publisher = await Publisher.of_service(amqp_url, name="ratchet-recovery-publisher")
    stack.push_async_callback(publisher.close)
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])
    taking = await connect(amqp_url, name="ratchet-recovery-parked")
    stack.push_async_callback(taking.close)
    broker = consumer_broker(amqp_url, name="ratchet-recovery")
    stack.push_async_callback(broker.stop)
    return _Servers(pool, publisher, broker, ParkedQueue(ParkedRows(pool), taking, publisher))


def _relay(servers: _Servers, older_than: timedelta) -> Callable[[int], Awaitable[int]]:
    async def relay_some(limit: int) -> int:
        return await outbox.relay(servers.pool, servers.publisher, older_than=older_than, limit=limit)

    return relay_some


def _gauge_reader(pool: asyncpg.Pool, metrics: RecoveryMetrics) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        numbers = await gauges.read(pool)
        metrics.needing_attention.set(numbers.needing_attention)
        metrics.needing_attention_new.set(numbers.needing_attention_new)
        metrics.needing_attention_age.set(numbers.attention_seconds)
        metrics.unserved.set(numbers.unserved)
        metrics.outbox.set(numbers.outbox)
        metrics.outbox_age.set(numbers.outbox_seconds)
        metrics.watched.set(numbers.watched)
        metrics.parked_open.set(numbers.parked)
        metrics.parked_age.set(numbers.parked_seconds)
        metrics.unsealed_age.set(numbers.unsealed_seconds)

    return read


async def _ask_for_scans(publisher: Publisher, settings: Settings) -> None:
    """Ask the queue rather than scan at once: whatever instance is free takes it."""
    await asyncio.sleep(settings.recovery_startup_delay.total_seconds())
    reason = "recovery started"
    while True:
        try:
            await publisher.publish([_scan_request(reason)])
        except Exception as error:  # whatever it was, the next round asks again
            log.warning("scan.not_requested", error=type(error).__name__)
        reason = "interval"
        await asyncio.sleep(settings.scan_interval.total_seconds())


def _scan_request(reason: str) -> Outgoing:
    return Outgoing(
        route=Route(COMMANDS, recovery_key(RecoveryCommand.RESTART_SCAN)),
        message_id=str(uuid4()),
        type=RecoveryCommand.RESTART_SCAN.value,
        body=encode(RestartScanCommand(reason=reason)),
        correlation_id=str(uuid4()),
    )
