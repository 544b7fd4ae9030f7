"""The composition root: opens what the admin API works with, and closes it again."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from httpx2 import AsyncClient
from ratchet.adapters.postgres.accepted_starts import AcceptedStarts
from ratchet.adapters.postgres.audit import RefusalLog
from ratchet.adapters.postgres.audit_reading import AuditLog
from ratchet.adapters.postgres.audit_sealing import verify as verify_audit
from ratchet.adapters.postgres.bulk_requests import BulkRequests
from ratchet.adapters.postgres.engine import connect_engine, connect_pool
from ratchet.adapters.postgres.idempotency import IdempotencyKeys
from ratchet.adapters.postgres.parked_messages import ParkedMessages
from ratchet.adapters.postgres.recoveries import RecoveryBell, RecoveryLedger
from ratchet.adapters.postgres.restore_facts import PostgresRestoreFacts
from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
from ratchet.adapters.postgres.workflow_history import WorkflowHistories
from ratchet.adapters.postgres.workflow_lists import ENGINE_OUTAGES, WorkflowLists
from ratchet.adapters.postgres.workflow_views import WorkflowViews
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.consumer import OUTAGES
from ratchet.adapters.rabbitmq.publisher import Publisher
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
from admin_api.observe import Observe
from admin_api.once import OnceOnly
from admin_api.openapi import document_of
from admin_api.problems import on_http_exception, on_invalid_request
from admin_api.prune import prune_forever
from admin_api.request_recovery import RecoveryDesk
from admin_api.routes import actions, admin, audit, bulk_recoveries, parked, restore_previews, scans, workflows
from admin_api.start_workflow import WorkflowStarter
from admin_api.upkeep import Upkeep

POOL_SIZE = 10
# Beyond the wait for recovery: the confirm and a few questions to the database.
MARGIN = timedelta(seconds=10)

AWAY = (*OUTAGES, *ENGINE_OUTAGES)


def create_app(settings: Settings) -> FastAPI:
    """The app; nothing is opened before its lifespan begins.

    Raises:
        InvalidSettings: tokens could not be checked.
    """
    registry = new_registry()
    metrics = AdminMetrics(registry)
    http = AsyncClient(timeout=5, trust_env=False)
    verifier = TokenVerifier.from_settings(settings, http)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(http)
            await _open(app, settings, metrics, stack)
            yield

    app = FastAPI(
        title="Ratchet admin API",
        version=version("ratchet"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=[
            Middleware(Observe, metrics=metrics, outages=AWAY),
            Middleware(Authenticate, verifier=verifier),
            Middleware(BodyLimit),
        ],
        exception_handlers={HTTPException: on_http_exception, RequestValidationError: on_invalid_request},
    )
    for routes in (workflows, actions, admin, restore_previews, bulk_recoveries, audit, parked, scans):
        app.include_router(routes.router)
    app.router.routes.extend(health_routes(registry, _checks(app)))
    app.openapi = document_of(app)  # type: ignore[method-assign]  # the documented way to change it
    return app


async def _open(app: FastAPI, settings: Settings, metrics: AdminMetrics, stack: AsyncExitStack) -> None:
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, application="admin-api", size=POOL_SIZE)
    stack.callback(pool.terminate)
    engine = connect_engine(url, application="admin-api-lists", size=POOL_SIZE)
    stack.push_async_callback(engine.dispose)
    publisher = await Publisher.open(settings.amqp_url.get_secret_value(), name="ratchet-admin-api")
    stack.push_async_callback(publisher.close)
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=["default"], delays=[])

    views, ledger, bell = WorkflowViews(pool), RecoveryLedger(pool), RecoveryBell(url)
    starts, keys = AcceptedStarts(pool), IdempotencyKeys(pool)
    _in_background(stack, bell.run(), prune_forever(starts, keys, AWAY))
    app.state.pool, app.state.publisher = pool, publisher
    app.state.collaborators = Collaborators(
        gate=Gate(views, RefusalLog(pool)),
        once=OnceOnly(keys, longest=settings.recovery_wait + MARGIN),
        starter=WorkflowStarter(starts, publisher, AWAY),
        desk=RecoveryDesk(ledger, bell, publisher, wait=settings.recovery_wait, outages=AWAY),
        metrics=metrics,
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
    )


def _in_background(stack: AsyncExitStack, *jobs: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(job) for job in jobs]

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(end)


def _checks(app: FastAPI) -> dict[str, Check]:
    async def postgres() -> bool:
        return bool(await app.state.pool.fetchval("SELECT 1"))

    async def rabbitmq() -> bool:
        return bool(app.state.publisher.is_connected)

    return {"postgres": postgres, "rabbitmq": rabbitmq}
