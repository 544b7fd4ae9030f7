"""The other companies of the demo: an HTTP server that is out of order when told to, and books everything once."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOR_GOOD = -1


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came in, and how it was answered."""

    service: str
    order: str
    key: str
    status: int


@dataclass(slots=True)
class _Outage:
    status: int
    left: int


@dataclass(slots=True)
class OutsideWorld:
    """Every service for every order works unless `break_down` was called. May be used from several threads."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    _outages: dict[tuple[str, str], _Outage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def break_down(self, service: str, order: str, status: int, times: int = FOR_GOOD) -> None:
        """Answer this order's next requests with a failure; for good, unless `times` says how many."""
        self._outages[service, order] = _Outage(status, times)

    def repair(self, service: str, order: str) -> None:
        """Work again. Safe to repeat."""
        self._outages.pop((service, order), None)

    def receive(self, service: str, order: str, key: str) -> int:
        """Note a request and answer its status."""
        with self._lock:
            outage = self._outages.get((service, order))
            status = 200
            if outage is not None and outage.left != 0:
                outage.left -= 1
                status = outage.status
            self.calls.append(Call(service, order, key, status))
            return status

    def calls_for(self, service: str, order: str) -> list[Call]:
        """What one order asked of one service, oldest first."""
        return [call for call in list(self.calls) if (call.service, call.order) == (service, order)]

    def bookings(self, order: str) -> dict[str, int]:
        """How often each service really did something for an order: once for each key it accepted."""
        accepted = {(call.service, call.key) for call in list(self.calls) if call.order == order and call.status == 200}
        services = [service for service, _key in accepted]
        return {service: services.count(service) for service in services}


@contextmanager
def running_outside_world() -> Iterator[OutsideWorld]:
    """Serves on a free loopback port for as long as the context is open."""
    world = OutsideWorld()

    class Handler(_Handler):
        answer_from = world

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        world.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield world
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    answer_from: OutsideWorld

    def do_POST(self) -> None:
        """Handle `/<service>/<order>`."""
        _, service, order = self.path.split("/", 2)
        key = self.headers.get("Idempotency-Key", "")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.answer_from.receive(service, order, key)
        body = json.dumps({"receipt": f"{service}-{order}"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the demo shows what matters."""
