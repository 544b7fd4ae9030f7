"""The notifier's composition root: everything is built here, once, and handed to who needs it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx2
import structlog
from faststream.rabbit import RabbitBroker
from ratchet.adapters.parking import Parking
from ratchet.adapters.postgres.engine import close_pool, connect_pool
from ratchet.adapters.postgres.feeds import PostgresFeeds
from ratchet.adapters.postgres.schema import require_schema
from ratchet.adapters.rabbitmq import topology
from ratchet.adapters.rabbitmq.consumer import consume, consumer_broker, stop_intake
from ratchet.adapters.rabbitmq.keep_trying import KeepTrying
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.adapters.readiness import consumer_checks
from ratchet.adapters.redis import connection as redis_connection
from ratchet.adapters.redis.hints import FeedHints
from ratchet.adapters.redis.once import TakeOnce
from ratchet.background import Background
from ratchet.observability.health import Check, health_routes
from ratchet.observability.metrics import NotifierMetrics, new_registry
from ratchet.problem_documents import on_framework_exception, on_own_failure
from ratchet.service import STOPPING
from ratchet.settings import Settings
from ratchet.tokens import TokenVerifier
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from notifier.acknowledge import Acknowledgements
from notifier.admit import Door
from notifier.come_back import ComeBack
from notifier.connections import Connections, End, Limits
from notifier.follow_feeds import FollowedFeeds
from notifier.own_affairs import Preferences, TicketDesk
from notifier.prune import prune_forever
from notifier.push import Pushing
from notifier.reader_settings import ReaderSettings
from notifier.signalr_face import Negotiation, SignalRHub
from notifier.socket_server import Conversation, SocketServer
from notifier.sockets import Sockets
from notifier.sse_face import EventStream
from notifier.subscribers import KeepEvent
from notifier.tickets import Tickets
from notifier.websocket_face import PlainJson

EVENTS_IN_FLIGHT = 500
GOODBYE_LIMIT = timedelta(seconds=2)

log = structlog.get_logger()


def create_app(settings: Settings) -> Sockets:
    """The notifier as an ASGI app; everything it holds is opened and closed by the lifespan.

    Raises:
        InvalidSettings: nothing says how tokens are to be checked.
    """
    numbers = new_registry()
    metrics = NotifierMetrics(numbers)
    checks: dict[str, Check] = {}
    sockets: dict[str, ASGIApp] = {}
    http = httpx2.AsyncClient()
    verifier = TokenVerifier.from_settings(settings, http)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(http.aclose)
            servers = await _connect(settings, stack)
            core = _core(settings, servers, metrics)
            door = Door(verifier, Tickets(TakeOnce(servers.redis)), settings.allowed_origins)
            sockets.update(_sockets(core, door))
            app.router.routes.extend(_routes(core, door))
            await _run(settings, servers, core, checks, stack)
            log.info("notifier.ready")
            yield {STOPPING: partial(core.connections.end_all, End.STOPPING, GOODBYE_LIMIT)}

    beside = Starlette(
        routes=health_routes(numbers, checks),
        lifespan=lifespan,
        middleware=[_browsers(settings.allowed_origins)],
        exception_handlers={HTTPException: on_framework_exception, Exception: on_own_failure},
    )
    return Sockets(sockets, beside)


@dataclass(frozen=True, slots=True)
class _Servers:
    pool: asyncpg.Pool
    redis: redis_connection.Redis
    publisher: Publisher
    broker: RabbitBroker


@dataclass(frozen=True, slots=True)
class _Core:
    pushing: Pushing
    connections: Connections
    hints: FeedHints

    def announce(self, names: Sequence[str]) -> None:
        """Feeds have grown, or readers have changed their settings: here, and soon everywhere."""
        self.hear(names)
        self.hints.announce(names)

    def hear(self, names: Sequence[str]) -> None:
        """The same from another instance."""
        self.pushing.followed.hint(names)
        self.pushing.settings.hint(names)


async def _connect(settings: Settings, stack: AsyncExitStack) -> _Servers:
    amqp_url = settings.amqp_url.get_secret_value()
    pool = await connect_pool(settings.database_url.get_secret_value(), application="notifier", size=8)
    stack.push_async_callback(close_pool, pool)
    await require_schema(pool)
    redis = redis_connection.connect(settings.redis_url.get_secret_value(), name="ratchet-notifier")
    stack.push_async_callback(redis.aclose)
    publisher = await Publisher.of_service(amqp_url, name="ratchet-notifier-publisher")
    stack.push_async_callback(publisher.close)
    async with publisher.connection.channel() as channel:
        await topology.declare(channel, pools=settings.pools, delays=[])
    broker = consumer_broker(amqp_url, name="ratchet-notifier")
    stack.push_async_callback(broker.stop)
    return _Servers(pool, redis, publisher, broker)


def _core(settings: Settings, servers: _Servers, metrics: NotifierMetrics) -> _Core:
    store = PostgresFeeds(servers.pool)
    pushing = Pushing(
        store=store,
        followed=FollowedFeeds(store, metrics),
        settings=ReaderSettings(store),
        acknowledgements=Acknowledgements(store),
        metrics=metrics,
    )
    connections = Connections(metrics, Limits(total=settings.sockets_total, per_user=settings.sockets_per_user))
    hints = FeedHints(servers.redis)
    metrics.redis.set_function(lambda: hints.is_listening)
    return _Core(pushing, connections, hints)


def _sockets(core: _Core, door: Door) -> dict[str, ASGIApp]:
    def serve(conversation: Conversation) -> ASGIApp:
        return SocketServer(conversation, door, core.connections, core.pushing)

    return {"/ws": serve(PlainJson(core.pushing)), "/hubs/notifications": serve(SignalRHub(core.pushing))}


def _routes(core: _Core, door: Door) -> list[BaseRoute]:
    preferences = Preferences(door, core.pushing.store, core.pushing.settings, core.announce)
    return [
        Route("/hubs/notifications/negotiate", Negotiation(door).negotiate, methods=["POST"]),
        Route("/events", EventStream(door, core.connections, core.pushing, ComeBack(time.monotonic)), methods=["GET"]),
        Route("/ticket", TicketDesk(door).issue, methods=["POST"]),
        Route("/preferences", preferences.handle, methods=["GET", "PUT"]),
    ]


def _browsers(allowed_origins: Sequence[str]) -> Middleware:
    # The SignalR client asks with credentials, so the answer has to name the origin and these headers.
    return Middleware(
        CORSMiddleware,
        allow_origins=[origin.rstrip("/") for origin in allowed_origins],
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["authorization", "content-type", "last-event-id", "x-requested-with", "x-signalr-user-agent"],
    )


async def _run(
    settings: Settings, servers: _Servers, core: _Core, checks: dict[str, Check], stack: AsyncExitStack
) -> None:
    pushing = core.pushing
    stack.push_async_callback(_flush, pushing.acknowledgements)
    background = Background(pushing.metrics.background)
    stack.push_async_callback(background.close)
    for name, work in _background(settings, core).items():
        background.keep(name, work)
    parking = Parking(servers.pool, servers.publisher, service="notifier", parked=pushing.metrics.parked)
    trying = KeepTrying(parking, pushing.metrics.deliveries)
    checks.update(consumer_checks(servers.pool, servers.publisher, servers.broker, trying))
    checks["background"] = background.is_well
    keep = KeepEvent(
        store=pushing.store,
        parking=parking,
        followed=pushing.followed,
        announce=core.hints.announce,
        metrics=pushing.metrics,
    )
    consume(servers.broker, topology.NOTIFIER_QUEUE, keep, prefetch=EVENTS_IN_FLIGHT, trying=trying)
    await servers.broker.start()
    stack.push_async_callback(stop_intake, servers.broker)


def _background(settings: Settings, core: _Core) -> dict[str, Callable[[], Awaitable[None]]]:
    """Everything that goes on without being asked; each runs for ever."""
    pushing, clock = core.pushing, asyncio.get_running_loop().time
    works: dict[str, Callable[[], Awaitable[None]]] = {
        "feeds": pushing.followed.run,
        "reader-settings": pushing.settings.refresh_forever,
        "acknowledgements": pushing.acknowledgements.write_forever,
        "hints-sent": core.hints.send_forever,
        "hints-heard": partial(core.hints.listen_forever, core.hear, pushing.followed.look_everywhere),
        "sweep": partial(core.connections.sweep_forever, clock),
    }
    if settings.notification_retention:
        works["prune"] = partial(prune_forever, pushing.store, settings.notification_retention)
    return works


async def _flush(acknowledgements: Acknowledgements) -> None:
    try:
        async with asyncio.timeout(2):
            await acknowledgements.flush()
    except Exception as error:  # an outage at the end costs only repetitions
        log.warning("acknowledgements.lost", error=f"{type(error).__name__}: {error}")
