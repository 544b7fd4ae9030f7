"""The executor's composition root: everything is built here, once, and handed to who needs it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import uuid4

import asyncpg
import structlog
from faststream.rabbit import RabbitBroker
from ratchet.adapters.parking import Parking
from ratchet.adapters.postgres import definitions
from ratchet.adapters.postgres.claim_keeping import PostgresClaimKeeping
from ratchet.adapters.postgres.engine import close_pool, connect_pool
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.adapters.postgres.presence import PostgresPresence
from ratchet.adapters.postgres.schema import require_schema
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.consumer import consume, consumer_broker, resume_intake, stop_intake
from ratchet.adapters.rabbitmq.keep_trying import KeepTrying
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.adapters.readiness import consumer_checks
from ratchet.adapters.starts_under_way import StartsOnTheirWay
from ratchet.authoring import Registry
from ratchet.background import Background
from ratchet.crash_points import Reach, crash_points
from ratchet.domain.egress import EgressRules
from ratchet.domain.errors import InvalidSettings
from ratchet.domain.retry import Retry
from ratchet.messages.commands import RecoveryCommand, RestartScan, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import COMMANDS, Route, recovery_key
from ratchet.observability.health import Check, NotReady, health_routes
from ratchet.observability.metrics import ExecutorMetrics, new_registry
from ratchet.problem_documents import on_framework_exception
from ratchet.settings import Settings
from ratchet.wait_for_start import WaitForStart
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from executor.accept_start import AcceptStart
from executor.be_present import BePresent
from executor.drive_step import DriveStep
from executor.heed_dependencies import HeedDependencies
from executor.hold_intake import HoldIntake
from executor.holdings import Holdings
from executor.http_step import HttpCaller
from executor.keep_claims import KeepClaims
from executor.leave import Leave
from executor.long_steps import longest_unacknowledged, tell_of_long_steps
from executor.outlet import Outlet
from executor.resume_workflow import ResumeWorkflow
from executor.rules import Rules
from executor.run_workflow import RunWorkflow
from executor.step_threads import StepThreads
from executor.subscribers import StepSubscriber
from executor.watch_pools import CountConsumers, WatchPools

log = structlog.get_logger()

HANGING_SHARE = 0.25
"""Threads that hang, as a share of the prefetch, from which on nothing more is taken in."""


def create_app(settings: Settings) -> Starlette:
    """The executor as an ASGI app: its work runs in the lifespan, its health is what is served.

    Raises:
        InvalidDefinition: a module of `RATCHET_WORKFLOWS` is missing or wrong.
    """
    registry = Registry.of_modules(settings.workflows)
    if not registry.definitions:
        raise InvalidSettings("RATCHET_WORKFLOWS: names no workflow, so there is nothing to run: list the modules")
    numbers = new_registry()
    metrics = ExecutorMetrics(numbers)
    checks: dict[str, Check] = {}

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(settings, registry, metrics, stack, checks)
            yield

    return Starlette(
        routes=health_routes(numbers, checks),
        lifespan=lifespan,
        exception_handlers={HTTPException: on_framework_exception},
    )


@dataclass(frozen=True, slots=True)
class _Servers:
    pool: asyncpg.Pool
    quick: asyncpg.Pool
    publisher: Publisher
    broker: RabbitBroker


@dataclass(frozen=True, slots=True)
class _Parts:
    name: str
    rules: Rules
    servers: _Servers
    store: PostgresExecution
    presence: PostgresPresence
    present: BePresent
    holdings: Holdings
    outlet: Outlet
    call_http: HttpCaller
    reach: Reach
    dependencies: HeedDependencies | None
    threads: StepThreads
    parking: Parking


async def _start(
    settings: Settings, registry: Registry, metrics: ExecutorMetrics, stack: AsyncExitStack, checks: dict[str, Check]
) -> None:
    rules = _rules(settings, registry)
    tell_of_long_steps(registry, rules)
    servers = await _connect(settings, stack)
    await _prepare(servers, registry, rules)
    name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    store = PostgresExecution(servers.pool, servers.quick, executor=name, lease=settings.lease, metrics=metrics)
    holdings = Holdings(store, metrics, lease=settings.lease)
    threads = StepThreads(metrics, limit=max(1, round(settings.prefetch * HANGING_SHARE)))
    reach = crash_points(settings.crash_at)
    outlet = Outlet(store, servers.publisher, reach)
    http = HttpCaller(EgressRules.of(settings.http_allow))
    stack.push_async_callback(http.close)
    dependencies = await _dependencies(settings, registry, metrics, stack)
    presence = PostgresPresence(servers.pool, executor=name)
    present = BePresent(presence)
    await present.arrive(registry.definitions, settings.pools)
    parking = Parking(servers.pool, servers.publisher, service="executor", parked=metrics.parked)
    known = (name, rules, servers, store, presence, present)
    parts = _Parts(*known, holdings, outlet, http, reach, dependencies, threads, parking)
    trying = KeepTrying(parking, metrics.deliveries)
    _subscribe(settings, servers.broker, _pipeline(settings, registry, metrics, parts), trying)
    background = Background(metrics.background)
    stack.push_async_callback(background.close)
    checks.update(consumer_checks(servers.pool, servers.publisher, servers.broker, trying))
    stack.push_async_callback(_settle, outlet, settings.shutdown_grace)
    for task, work in _background(registry, metrics, parts).items():
        background.keep(task, work)
    keeper = _keeper(settings, registry, metrics, parts)
    checks |= {"threads": _threads_check(threads), "background": background.is_well, "claims": _alive_check(keeper)}
    stack.push_async_callback(keeper.stop)
    await keeper.start()
    await servers.broker.start()
    stack.push_async_callback(_drain, servers.broker, holdings, settings.shutdown_grace)
    stack.push_async_callback(present.leave)
    await servers.publisher.publish([_scan_request()])
    log.info("executor.ready", executor=name, pools=list(settings.pools), workflows=len(registry.definitions))


def _subscribe(
    settings: Settings, broker: RabbitBroker, subscriber_of: Callable[[str], StepSubscriber], trying: KeepTrying
) -> None:
    for pool in settings.pools:
        consume(
            broker,
            topology.steps_queue(pool),
            subscriber_of(pool),
            prefetch=settings.prefetch,
            trying=trying,
            outlives_connection=True,
        )


def _background(
    registry: Registry, metrics: ExecutorMetrics, parts: _Parts
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Everything that goes on without being asked; each runs for ever."""
    servers = parts.servers
    watch = WatchPools(_known_pools(registry), _consumer_counter(servers.publisher), metrics)
    hold = HoldIntake(
        parts.threads,
        parts.holdings,
        stop=partial(stop_intake, servers.broker),
        resume=partial(resume_intake, servers.broker),
    )
    works: dict[str, Callable[[], Awaitable[None]]] = {
        "leases": parts.holdings.keep_leases,
        "pools": watch.run,
        "intake": hold.run,
        "clock": parts.holdings.clock.run,
        "presence": parts.present.keep,
    }
    if parts.dependencies is not None:
        works["dependencies"] = parts.dependencies.keep
    return works


def _pipeline(
    settings: Settings, registry: Registry, metrics: ExecutorMetrics, parts: _Parts
) -> Callable[[str], StepSubscriber]:
    """The use cases, from the last one in the chain to the first; the answer makes a subscriber for a pool."""
    store, publisher, rules, reach = parts.store, parts.servers.publisher, parts.rules, parts.reach
    run = RunWorkflow(
        store=store,
        registry=registry,
        holdings=parts.holdings,
        outlet=parts.outlet,
        leave=Leave(store=store, outlet=parts.outlet, rules=rules, presence=parts.presence, metrics=metrics),
        rules=rules,
        metrics=metrics,
        threads=parts.threads,
        dependencies=parts.dependencies,
        call_http=parts.call_http,
        reach=reach,
    )
    resume = ResumeWorkflow(
        store=store,
        run=run,
        holdings=parts.holdings,
        outlet=parts.outlet,
        publisher=publisher,
        rules=rules,
        metrics=metrics,
    )
    start = AcceptStart(
        store=store,
        registry=registry,
        run=run,
        resume=resume,
        holdings=parts.holdings,
        parking=parts.parking,
        catalog=parts.present,
        publisher=publisher,
        metrics=metrics,
        slots=settings.prefetch,
        patience=settings.delivery_time,
    )
    wait = WaitForStart(StartsOnTheirWay(parts.servers.pool, publisher.connection))
    drive = DriveStep(store=store, resume=resume, wait=wait, publisher=publisher, metrics=metrics)
    shared = partial(StepSubscriber, start=start, drive=drive, resume=resume, holdings=parts.holdings, reach=reach)
    return lambda pool: shared(parking=parts.parking, pool=pool)


async def _dependencies(
    settings: Settings, registry: Registry, metrics: ExecutorMetrics, stack: AsyncExitStack
) -> HeedDependencies | None:
    """Nothing if no step names a dependency: then Redis is not asked, nor its driver loaded."""
    steps = [step for item in registry.definitions for step in item.steps if step.pool in settings.pools]
    names = {step.depends_on for step in steps if step.depends_on is not None}
    if not names:
        return None
    from ratchet.adapters.redis.connection import connect
    from ratchet.adapters.redis.dependencies import SharedDependencies

    redis = connect(settings.redis_url.get_secret_value(), name="ratchet-executor")
    stack.push_async_callback(redis.aclose)
    dependencies = HeedDependencies(SharedDependencies(redis), names, metrics)
    # Before the first step and after the last one: else each restart would begin with steps that others hold back.
    await dependencies.look()
    stack.push_async_callback(dependencies.look)
    return dependencies


def _rules(settings: Settings, registry: Registry) -> Rules:
    plans = [settings.retry_delays, *(step.delays for item in registry.definitions for step in item.steps)]
    return Rules(
        pools=frozenset(settings.pools),
        retry=Retry(*(delay.total_seconds() for delay in settings.retry_delays)),
        step_timeout=settings.step_timeout,
        delivery_steps=settings.delivery_steps,
        delivery_time=settings.delivery_time,
        delays=tuple(topology.waits_of(delay for plan in plans for delay in plan)),
        longest_unacknowledged=longest_unacknowledged(settings.consumer_timeout, settings.delivery_time),
    )


async def _connect(settings: Settings, stack: AsyncExitStack) -> _Servers:
    database_url, amqp_url = settings.database_url.get_secret_value(), settings.amqp_url.get_secret_value()
    pool = await connect_pool(database_url, application="executor", size=8)
    stack.push_async_callback(close_pool, pool)
    await require_schema(pool)
    quick = await connect_pool(database_url, application="executor-claims", size=4, waits_for_disk=False)
    stack.push_async_callback(close_pool, quick)
    publisher = await Publisher.of_service(amqp_url, name="ratchet-executor-publisher")
    stack.push_async_callback(publisher.close)
    broker = consumer_broker(amqp_url, name="ratchet-executor")
    stack.push_async_callback(broker.stop)
    return _Servers(pool, quick, publisher, broker)


async def _prepare(servers: _Servers, registry: Registry, rules: Rules) -> None:
    async with servers.publisher.connection.channel() as channel:
        await topology.declare(channel, pools=rules.pools | _known_pools(registry), delays=rules.delays)
    for changed in await definitions.register(servers.pool, registry.definitions):
        log.warning("definition.changed", definition=changed, advice="steps changed: raise the workflow's version")


def _keeper(settings: Settings, registry: Registry, metrics: ExecutorMetrics, parts: _Parts) -> KeepClaims:
    url = settings.database_url.get_secret_value()
    for item in registry.definitions:
        for step in item.steps:
            metrics.loop_blocked.labels(item.name, step.id)
    return KeepClaims(
        holdings=parts.holdings,
        clock=parts.holdings.clock,
        registry=registry,
        rules=parts.rules,
        metrics=metrics,
        open_session=partial(PostgresClaimKeeping.open, url, executor=parts.name, lease=settings.lease),
        lease=settings.lease,
    )


def _alive_check(keeper: KeepClaims) -> Check:
    async def alive() -> bool:
        if not keeper.is_alive:
            raise NotReady("the thread that keeps claims while the event loop is blocked has ended")
        return True

    return alive


def _threads_check(threads: StepThreads) -> Check:
    async def free() -> bool:
        reason = threads.why_not_ready()
        if reason is not None:
            raise NotReady(reason)
        return True

    return free


def _known_pools(registry: Registry) -> frozenset[str]:
    return frozenset(step.pool for item in registry.definitions for step in item.steps)


def _consumer_counter(publisher: Publisher) -> CountConsumers:
    async def count(pool: str) -> int:
        async with publisher.connection.channel() as channel:
            queue = await channel.declare_queue(topology.steps_queue(pool).name, passive=True)
            return queue.declaration_result.consumer_count or 0

    return count


def _scan_request() -> Outgoing:
    return Outgoing(
        route=Route(COMMANDS, recovery_key(RecoveryCommand.RESTART_SCAN)),
        message_id=str(uuid4()),
        type=RecoveryCommand.RESTART_SCAN.value,
        body=encode(RestartScan(reason="an executor started")),
        correlation_id=str(uuid4()),
    )


async def _settle(outlet: Outlet, grace: timedelta) -> None:
    # While the broker takes nothing, what is left stays in the outbox.
    with suppress(TimeoutError):
        async with asyncio.timeout(grace.total_seconds()):
            await outlet.settle()


async def _drain(broker: RabbitBroker, holdings: Holdings, grace: timedelta) -> None:
    holdings.is_draining = True
    log.info("executor.draining")
    await stop_intake(broker)
    with suppress(TimeoutError):
        await holdings.drain(grace)
    log.info("executor.drained")
