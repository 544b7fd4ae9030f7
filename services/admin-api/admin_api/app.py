"""The composition root: opens what the admin API works with, and closes it again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version

import asyncpg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from httpx2 import AsyncClient
from ratchet.adapters.postgres.accepted_starts import AcceptedStarts
from ratchet.adapters.postgres.audit import RefusalLog
from ratchet.adapters.postgres.audit_reading import AuditLog
from ratchet.adapters.postgres.audit_sealing import verify as verify_audit
from ratchet.adapters.postgres.bulk_requests import BulkRequests
from ratchet.adapters.postgres.engine import connect_pool
from ratchet.adapters.postgres.failure_groups import FailureGroups
from ratchet.adapters.postgres.idempotency import IdempotencyKeys
from ratchet.adapters.postgres.overview import OverviewReader
from ratchet.adapters.postgres.parked_messages import ParkedMessages
from ratchet.adapters.postgres.query_engine import connect_engine
from ratchet.adapters.postgres.recoveries import RecoveryBell, RecoveryLedger
from ratchet.adapters.postgres.restore_facts import PostgresRestoreFacts
from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
from ratchet.adapters.postgres.schema import require_schema
from ratchet.adapters.postgres.workflow_history import WorkflowHistories
from ratchet.adapters.postgres.workflow_lists import WorkflowLists
from ratchet.adapters.postgres.workflow_views import WorkflowViews
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.adapters.rabbitmq.queue_depths import queue_depths
from ratchet.adapters.redis import connection as redis_connection
from ratchet.adapters.redis.dependencies import SharedDependencies
from ratchet.adapters.redis.token_bucket import SharedBuckets
from ratchet.background import Background
from ratchet.observability.health import Check, health_routes
from ratchet.observability.metrics import AdminMetrics, new_registry
from ratchet.settings import Settings
from ratchet.tokens import TokenVerifier
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from admin_api.access import Gate
from admin_api.authenticate import Authenticate
from admin_api.bodies import BodyLimit
from admin_api.collaborators import Collaborators
from admin_api.dashboard.own_api import client_of
from admin_api.dashboard.routes import dashboard_routes
from admin_api.dashboard.visit import Desk
from admin_api.limit_rate import Limiter, Rate, RateLimit
from admin_api.look_over import Lookout
from admin_api.observe import Observe
from admin_api.once import OnceOnly
from admin_api.openapi import document_of
from admin_api.problems import on_http_exception, on_invalid_request
from admin_api.prune import prune_forever
from admin_api.request_recovery import RecoveryDesk
from admin_api.routes import (
    actions,
    admin,
    audit,
    bulk_recoveries,
    failures,
    parked,
    restore_previews,
    scans,
    workflows,
)
from admin_api.start_workflow import WorkflowStarter
from admin_api.upkeep import Upkeep

POOL_SIZE = 10
# Beyond the wait for recovery: the confirm and a few questions to the database.
MARGIN = timedelta(seconds=10)

ROUTERS = tuple(
    routes.router
    for routes in (workflows, actions, admin, failures, restore_previews, bulk_recoveries, audit, parked, scans)
)


@dataclass(frozen=True, slots=True)
class Common:
    """What both the layers around the routes and the routes themselves work with."""

    metrics: AdminMetrics
    limiter: Limiter
    dependencies: SharedDependencies


def create_app(settings: Settings) -> FastAPI:
    """The app; nothing is opened before its lifespan begins.

    Raises:
        InvalidSettings: tokens could not be checked.
    """
    registry = new_registry()
    metrics = AdminMetrics(registry)
    http = AsyncClient(timeout=5, trust_env=False)
    verifier = TokenVerifier.from_settings(settings, http)
    redis = redis_connection.connect(settings.redis_url.get_secret_value(), name="ratchet-admin-api")
    limiter = Limiter(SharedBuckets(redis))
    common = Common(metrics, limiter, SharedDependencies(redis))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(http)
            stack.push_async_callback(redis.aclose)
            app.state.collaborators = await _open(app, settings, common, stack)
            yield

    app = FastAPI(
        title="Ratchet admin API",
        version=version("ratchet"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=[
            Middleware(Observe, metrics=metrics),
            Middleware(Authenticate, verifier=verifier),
            Middleware(RateLimit, limiter=limiter, rate=Rate.of(settings.rate_limit)),
            Middleware(BodyLimit),
        ],
        exception_handlers={HTTPException: on_http_exception, RequestValidationError: on_invalid_request},
    )
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.extend([*health_routes(registry, _checks(app)), *dashboard_routes()])
    app.state.desk = Desk(client_of(app), verifier)
    app.openapi = document_of(app)  # type: ignore[method-assign]  # the documented way to change it
    return app


async def _open(app: FastAPI, settings: Settings, common: Common, stack: AsyncExitStack) -> Collaborators:
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, application="admin-api", size=POOL_SIZE)
    stack.callback(pool.terminate)
    engine = connect_engine(url, application="admin-api-lists", size=POOL_SIZE)
    stack.push_async_callback(engine.dispose)
    await require_schema(pool)
    publisher = await Publisher.of_service(settings.amqp_url.get_secret_value(), name="ratchet-admin-api")
    stack.push_async_callback(publisher.close)
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])

    views, ledger, bell = WorkflowViews(pool), RecoveryLedger(pool), RecoveryBell(url)
    starts, keys = AcceptedStarts(pool), IdempotencyKeys(pool)
    background = Background(common.metrics.background)
    stack.push_async_callback(background.close)
    background.keep("recovery-bell", bell.run)
    background.keep("prune", partial(prune_forever, starts, keys))
    app.state.background, app.state.pool, app.state.publisher = background, pool, publisher
    return Collaborators(
        gate=Gate(views, RefusalLog(pool), common.limiter),
        once=OnceOnly(keys, longest=settings.recovery_wait + MARGIN),
        starter=WorkflowStarter(starts, publisher),
        desk=RecoveryDesk(ledger, bell, publisher, wait=settings.recovery_wait),
        metrics=common.metrics,
        views=views,
        histories=WorkflowHistories(pool),
        lists=WorkflowLists(engine),
        ledger=ledger,
        upkeep=Upkeep(
            restore_facts=PostgresRestoreFacts(pool),
            bulk=BulkRequests(engine),
            audit=AuditLog(engine),
            verify_audit=lambda expected: verify_audit(pool, expected=expected),
            parked=ParkedMessages(pool),
            scans=PostgresScanLedger(pool),
            publisher=publisher,
        ),
        groups=FailureGroups(engine),
        lookout=_lookout(pool, publisher, common.dependencies, scan_interval=settings.scan_interval),
    )


def _lookout(
    pool: asyncpg.Pool, publisher: Publisher, dependencies: SharedDependencies, *, scan_interval: timedelta
) -> Lookout:
    ask_queues = partial(queue_depths, publisher.connection)
    return Lookout(OverviewReader(pool), ask_queues, dependencies.read, scan_interval=scan_interval)


def _checks(app: FastAPI) -> dict[str, Check]:
    async def postgres() -> bool:
        return bool(await app.state.pool.fetchval("SELECT 1"))

    async def rabbitmq() -> bool:
        return bool(app.state.publisher.is_connected)

    async def background() -> bool:
        return bool(await app.state.background.is_well())

    return {"postgres": postgres, "rabbitmq": rabbitmq, "background": background}
