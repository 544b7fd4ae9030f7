"""Services are kept alive, their pids are published, and everything about a failure is said."""

import dataclasses
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from local_stack.environment_file import read_environment
from local_stack.errors import StackError
from local_stack.ports import choose_port
from local_stack.supervisor import Service, Supervisor

WELL_BEHAVED = """
import http.server, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("started", os.environ["GREETING"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
STUBBORN = WELL_BEHAVED.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


def service(name: str, program: str = WELL_BEHAVED) -> Service:
    port = choose_port([])
    environ = {**os.environ, "GREETING": f"hello {name}"}
    return Service(name, (sys.executable, "-c", program, str(port)), port, f"RATCHET_{name.upper()}_PID", environ)


@pytest.fixture
def two(tmp_path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, [service("one"), service("two")]) as services:
        services.wait_ready()
        yield services


def eventually(holds: Callable[[], bool], within: float = 5) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_output_goes_to_a_log_and_pids_to_the_environment_file(two, tmp_path):
    assert "started hello one" in (tmp_path / "logs" / "one.log").read_text()
    assert read_environment(tmp_path / "env") == {
        "RATCHET_ONE_PID": str(two.pid_of("one")),
        "RATCHET_TWO_PID": str(two.pid_of("two")),
    }
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_a_killed_service_is_back_within_two_seconds_under_a_published_pid(two, tmp_path):
    began = time.monotonic()
    old = two.kill("one")
    new = two.wait_restarted("one", old)
    assert time.monotonic() - began < 2
    assert new != old
    assert read_environment(tmp_path / "env")["RATCHET_ONE_PID"] == str(new)


def test_what_a_dead_service_had_started_does_not_outlive_it(tmp_path):
    with_child = "import subprocess; subprocess.Popen(['sleep', '4711'])\n" + WELL_BEHAVED
    with Supervisor(tmp_path, [service("parent", with_child)]) as services:
        services.wait_ready()
        old = services.pid_of("parent")
        [child] = psutil.Process(old).children()
        services.kill("parent")
        assert eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_stopped_service_stays_down_until_it_is_started(two, tmp_path):
    two.stop_service("two")
    assert two.pid_of("two") is None
    assert "RATCHET_TWO_PID" not in read_environment(tmp_path / "env")
    two.start_service("two")
    two.wait_ready()
    assert two.pid_of("two") is not None


def test_a_service_can_be_added_while_others_run(two):
    two.add(service("three"))
    two.wait_ready(names=["three"])
    assert two.pid_of("three") is not None


def test_who_ignores_the_request_to_end_is_killed_after_the_grace_period(tmp_path):
    services = Supervisor(tmp_path, [service("stubborn", STUBBORN)])
    services.start()
    services.wait_ready()
    process = psutil.Process(services.pid_of("stubborn"))
    began = time.monotonic()
    services.stop(grace=timedelta(seconds=0.3))
    assert 0.3 <= time.monotonic() - began < 5
    assert not process.is_running()


def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path):
    broken = service("broken", "raise SystemExit('cannot read its settings')")
    began = time.monotonic()
    with Supervisor(tmp_path, [service("fine"), broken]) as services, pytest.raises(StackError) as caught:
        services.wait_ready(timedelta(seconds=30))
    assert time.monotonic() - began < 15
    assert "broken" in str(caught.value)
    assert "cannot read its settings" in str(caught.value)
    assert str(tmp_path / "logs" / "broken.log") in str(caught.value)
    assert "fine" not in str(caught.value)


def test_a_service_that_runs_but_never_gets_ready_is_named_when_the_time_is_over(tmp_path):
    silent = service("silent", "import time; time.sleep(60)")
    with Supervisor(tmp_path, [silent]) as services, pytest.raises(StackError, match="silent is not ready in time"):
        services.wait_ready(timedelta(seconds=0.3))


def test_after_the_end_no_service_runs_and_no_pid_is_published(tmp_path):
    services = Supervisor(tmp_path, [service("one"), service("two")])
    services.start()
    services.wait_ready()
    pids = [services.pid_of(name) for name in ("one", "two")]
    services.stop()
    services.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert read_environment(tmp_path / "env") == {}


GIVEN = {
    **os.environ,
    "RATCHET_DATABASE_URL": "postgresql://somewhere/db",
    "RATCHET_AMQP_URL": "amqp://somewhere/",
    "RATCHET_REDIS_URL": "redis://somewhere/0",
    "TERM": "dumb",
}


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "local_stack", *arguments, "--root", str(root)]
    return subprocess.run(line, env=GIVEN, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_line_starts_in_the_background_refuses_a_second_one_and_stops(tmp_path):
    root = tmp_path / "stack"
    first = command(root, "servers", "--detach")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "RATCHET_AMQP_URL=amqp://somewhere/" in first.stdout
    assert read_environment(root / "env")["RATCHET_REDIS_URL"] == "redis://somewhere/0"
    second = command(root, "servers")
    assert second.returncode == 1
    assert "runs here already" in second.stdout
    assert command(root, "status").returncode == 0
    assert "Stopped" in command(root, "down").stdout
    assert not (root / "env").exists()
    nothing = command(root, "down")
    assert (nothing.returncode, "Nothing is running" in nothing.stdout) == (0, True)
    assert command(root, "status").returncode == 1
    assert command(root, "reset").returncode == 0
    assert not root.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_every_ending_signal_ends_it_in_good_order(tmp_path, number):
    root = tmp_path / "stack"
    line = [sys.executable, "-m", "local_stack", "servers", "--root", str(root)]
    with subprocess.Popen(line, env=GIVEN, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert eventually(lambda: read_environment(root / "env") != {}, within=30)
        assert eventually(lambda: '"ready"' in (root / "stack.json").read_text(), within=30)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Stopped. The data is kept" in output
    assert not (root / "env").exists()


HANDED_A_SOCKET = """
import os, signal, socket, sys
listener = socket.socket(fileno=int(os.environ["RATCHET_LISTEN_FD"]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
    connection.close()
"""


def keeping_its_port(program: str) -> Service:
    return dataclasses.replace(service("kept", program), keeps_port=True)


def test_a_service_whose_port_is_kept_refuses_nobody_while_one_process_follows_another(tmp_path):
    kept = keeping_its_port(HANDED_A_SOCKET)
    with Supervisor(tmp_path, [kept]) as services:
        services.wait_ready()
        for signal_sent in (signal.SIGTERM, signal.SIGKILL):
            pid = services.pid_of("kept")
            os.kill(pid, signal_sent)
            assert eventually(lambda pid=pid: services.pid_of("kept") != pid)
            with socket.create_connection(("127.0.0.1", kept.port), timeout=10) as waiting:
                waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert waiting.recv(100).startswith(b"HTTP/1.1 200")
            services.wait_restarted("kept", pid)
        services.stop_service("kept")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", kept.port), timeout=1)


def test_a_service_that_cannot_start_lets_its_port_refuse(tmp_path):
    kept = keeping_its_port("import sys; sys.exit(3)")

    def is_refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", kept.port), timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False

    with Supervisor(tmp_path, [kept]):
        assert not is_refused()
        assert eventually(is_refused, within=20)


def test_a_port_that_somebody_else_has_is_said_at_the_start(tmp_path):
    kept = keeping_its_port(HANDED_A_SOCKET)
    taken = socket.create_server(("127.0.0.1", kept.port))
    with taken, pytest.raises(StackError, match=f"cannot have port {kept.port}"):
        Supervisor(tmp_path, [kept]).start()
