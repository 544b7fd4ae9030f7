"""How every service runs: settings, logs, one ASGI app under uvicorn, a clean end at SIGTERM."""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.background import lost_tasks
from ratchet.domain.errors import CannotStart, InvalidDefinition, InvalidSettings
from ratchet.domain.failure import sanitise
from ratchet.observability.health import LEAVING
from ratchet.observability.logging import configure_logging
from ratchet.settings import Settings, load_settings
from ratchet.settings_advice import advice_on
from ratchet.websocket_protocol import LingeringWebSocket

GARBAGE_THRESHOLD = 20_000

EXIT_BAD_SETTINGS = 2
EXIT_NOT_STARTED = 3
EXIT_TASK_LOST = 4

UNREAD_LIMIT = timedelta(seconds=10)
"""How long sent data may stay unacknowledged before the kernel ends a connection. Pings do not find out who stopped
reading: their frames wait behind the rest, and even closing waits for the buffer to drain."""

BACKLOG = 2048

FIRST_REQUEST_LIMIT = timedelta(milliseconds=500)
"""How long a service that ends waits for the first request of a connection that it has accepted."""

STOPPING = "stopping"
"""A lifespan may yield `{STOPPING: an async function}`. It is awaited when the service is asked to stop, before any
connection is ended: answers that go on for ever end only if somebody ends them."""


def run_service(name: str, build: Callable[[Settings], ASGIApp], port_of: Callable[[Settings], int]) -> int:
    """Run until SIGTERM or Ctrl-C.

    Exit codes: 0 after a clean end, 2 for wrong settings, servers that cannot be used or a port that is taken (one
    line on standard error says which; whoever keeps the service running starts it again), 3 when the start failed
    otherwise, 4 when a task of its own could not be kept running (see `ratchet.background`).
    """
    try:
        settings = load_settings()
        configure_logging(name, level=settings.log_level, form=settings.log_format)
        for advice in advice_on(settings, os.environ):
            structlog.get_logger().warning("settings.advice", advice=advice)
        app = ToldStart(build(settings))
        _collect_seldom()
    except (InvalidSettings, InvalidDefinition) as error:
        sys.stderr.write(f"{name} cannot start. Check the environment:\n{error}\n")
        return EXIT_BAD_SETTINGS
    return _serve(name, app, settings, port_of(settings))


def _serve(name: str, app: "ToldStart", settings: Settings, port: int) -> int:
    server = GracefulServer(server_config(app), drain=settings.drain)
    try:
        with _listener(settings, port) as listener:
            structlog.get_logger().info("service.starting", port=listener.getsockname()[1])
            # uvicorn ends the process itself when the app does not start.
            with suppress(SystemExit):
                server.run(sockets=[listener])
    except OSError as error:
        if server.started:
            raise
        variable = f"RATCHET_{name.removeprefix('admin-').upper()}_PORT"
        sys.stderr.write(
            f"{name} cannot start: {variable}: cannot listen on {settings.host}:{port} ({error}). Choose another\n"
        )
        return EXIT_BAD_SETTINGS
    if lost_tasks():
        return EXIT_TASK_LOST
    if app.failure is not None:
        return _told(name, app.failure)
    return 0 if server.started else EXIT_NOT_STARTED


class ToldStart:
    """The app, with a failure of its start kept to be told in one line instead of as a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        has_failed = False

        async def watched(message: Message) -> None:
            nonlocal has_failed
            has_failed = has_failed or message["type"] == "lifespan.startup.failed"
            await send({"type": message["type"]} if has_failed else message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if not has_failed:
                raise
            self.failure = error


def _told(name: str, failure: Exception) -> int:
    if isinstance(failure, (CannotStart, InvalidSettings, InvalidDefinition)):
        sys.stderr.write(f"{name} cannot start: {failure}\n")
        return EXIT_BAD_SETTINGS
    structlog.get_logger().error("service.not_started", exc_info=failure)
    sys.stderr.write(f"{name} cannot start: {sanitise(f'{type(failure).__name__}: {failure}')}\n")
    return EXIT_NOT_STARTED


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a background task and wait until it is gone."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _collect_seldom() -> None:
    """Look for cyclic garbage less often than Python's default, which is meant for small programs.

    Thousands of short-lived objects a second would start it all the time, to find nothing: they die by reference count.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn runs every service; the socket comes from `claim_port`."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        loop="uvloop",
        ws=LingeringWebSocket,
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        server_header=False,
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
    )


def claim_port(host: str, port: int) -> socket.socket:
    """A bound socket whose connections will end when the other side stops reading (where the system can do that).

    It refuses connections until a server listens on it.

    Raises:
        OSError: the address is taken, or is not ours.
    """
    family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _end_unread_connections(listener)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def inherited_listener(descriptor: int) -> socket.socket:
    """The socket that whoever started this process listens on: connections wait there while nobody accepts them.

    Raises:
        OSError: the descriptor is no listening socket.
    """
    listener = socket.socket(fileno=descriptor)
    listens = True
    with suppress(OSError):  # not every system can tell
        listens = bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if not listens:
        listener.detach()
        raise OSError(f"file descriptor {descriptor} (RATCHET_LISTEN_FD) is no listening socket")
    listener.set_inheritable(False)
    _end_unread_connections(listener)
    return listener


def _listener(settings: Settings, port: int) -> socket.socket:
    if settings.listen_fd is not None:
        return inherited_listener(settings.listen_fd)
    return claim_port(settings.host, port)


def _end_unread_connections(listener: socket.socket) -> None:
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it from the listener; later they are out of reach.
        milliseconds = round(UNREAD_LIMIT.total_seconds() * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


class GracefulServer(uvicorn.Server):
    """uvicorn with its end changed: it is announced, nobody is cut off, and one that was asked for is no failure."""

    def __init__(self, config: uvicorn.Config, *, drain: timedelta = timedelta(0)) -> None:
        super().__init__(config)
        self._drain = drain.total_seconds()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that it is leaving, then take no more connections, let the app say goodbye on those it has, end them."""
        self.lifespan.state[LEAVING] = True
        # Whoever keeps a connection for the next request is told to make a new one for it, which finds the successor.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(self._drain)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        stopping = self.lifespan.state.get(STOPPING)
        if stopping is not None:
            await stopping()
        await self._hear_the_last_ones()
        await super().shutdown(sockets)

    async def _hear_the_last_ones(self) -> None:
        """A connection that was accepted a moment ago has sent nothing yet; it would be closed without an answer."""
        deadline = asyncio.get_running_loop().time() + FIRST_REQUEST_LIMIT.total_seconds()
        while any(getattr(one, "cycle", one) is None for one in self.server_state.connections):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.01)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or Ctrl-C."""
        super().handle_exit(sig, frame)
        # uvicorn would raise the signal again after the clean end.
        self._captured_signals.clear()
