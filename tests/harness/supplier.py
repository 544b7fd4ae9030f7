"""Another company's HTTP server: it is out of order for the first requests and well afterwards."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Supplier:
    """`unavailable` is how many requests are still answered with 503; `answers` is what was answered so far."""

    unavailable: int
    url: str = ""
    answers: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_answer(self) -> int:
        """The status of the next answer."""
        with self.lock:
            self.answers.append(503 if self.unavailable > 0 else 200)
            self.unavailable -= 1
            return self.answers[-1]


@contextmanager
def running_supplier(*, unavailable: int) -> Iterator[Supplier]:
    """A server on a free port for as long as the context is open."""
    supplier = Supplier(unavailable)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(supplier.next_answer())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        supplier.url = f"http://127.0.0.1:{server.server_address[1]}/bookings"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield supplier
        finally:
            server.shutdown()
            thread.join()
