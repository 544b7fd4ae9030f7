"""The only instance of the API is restarted while people work: nobody is refused, and nobody's request fails."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
from ratchet.client import Client

from tests.harness.person import Person
from tests.harness.platform import Platform

API = "admin-api"
AT_ONCE = 4


@dataclass
class Callers:
    """Ask again and again, each time over a new connection, until told to stop."""

    url: str
    headers: dict[str, str]
    answers: list[int] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self) -> Iterator[None]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asking = [threads.submit(self._ask) for _ in range(AT_ONCE)]
            try:
                yield
            finally:
                self.ending.set()
                for one in asking:
                    one.result()

    def _ask(self) -> None:
        while not self.ending.is_set():
            try:
                self.answers.append(httpx2.get(self.url, headers=self.headers, timeout=30).status_code)
            except httpx2.TransportError as error:
                self.troubles.append(f"{type(error).__name__}: {error}")


def wait_for_more(things: Sized, unless: Callable[[], bool] = lambda: False) -> None:
    """Wait until there is more of them than there can be on its way at this moment."""
    enough, deadline = len(things) + AT_ONCE, time.monotonic() + 30
    while len(things) <= enough and not unless():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def restart(platform: Platform) -> None:
    """As a person or a release would: SIGTERM, and the process manager starts the next one."""
    pid = platform.pid_of(API)
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    platform.running.services.wait_restarted(API, pid)


def test_no_connection_is_refused_and_no_request_fails_while_the_api_is_restarted(
    platform: Platform, sarah: Person
) -> None:
    url = f"{platform.running.api_url}/api/v1/workflows"
    callers = Callers(url, {"Authorization": f"Bearer {sarah.token}"})
    with callers.calling():
        for _ in range(2):
            wait_for_more(callers.answers)
            restart(platform)
        wait_for_more(callers.answers)
    assert callers.troubles == []
    assert set(callers.answers) <= {200, 429}


def test_the_client_library_gets_through_a_restart_with_connections_that_it_keeps(
    platform: Platform, sarah: Person
) -> None:
    started: list[str] = []

    async def work(until: threading.Event) -> None:
        environ = platform.running.environ
        async with Client.from_env(environ, token=lambda: sarah.token) as client:
            while not until.is_set():
                started.append(str((await client.start("delivery")).workflow_id))
                await client.list()

    done = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(asyncio.run, work(done))
        wait_for_more(started, unless=working.done)
        restart(platform)
        wait_for_more(started, unless=working.done)
        done.set()
        working.result(timeout=60)
    assert len(started) == len(set(started)) > 2 * AT_ONCE


def test_a_connection_waits_for_the_next_process_also_when_the_api_was_killed(platform: Platform) -> None:
    address = urlsplit(platform.running.api_url)
    assert address.hostname is not None
    pid = platform.running.services.kill(API)
    while platform.pid_of(API) == pid:
        time.sleep(0.01)
    with socket.create_connection((address.hostname, address.port or 0), timeout=30) as waiting:
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    platform.running.services.wait_restarted(API, pid)


def test_a_service_that_is_kept_down_refuses_connections(platform: Platform) -> None:
    platform.stop(API)
    try:
        answer = httpx2.get(f"{platform.running.api_url}/healthz", timeout=5)
    except httpx2.ConnectError:
        answer = None
    finally:
        platform.start(API)
    assert answer is None
