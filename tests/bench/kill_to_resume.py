"""How long it takes until a workflow moves again: `python -m tests.bench.kill_to_resume [rounds]`.

Everything is real: the four services as processes, RabbitMQ, Postgres and Valkey. Time runs from the kill, or, where a
server was restarted, from the moment at which it answers again, to the beginning of the step's next execution.
"""

import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from local_stack.running_platform import RunningPlatform, running_platform
from local_stack.servers import RunningServers, own_servers
from local_stack.services import Wishes

from tests.bench.kill_workflows import FOLDER_VARIABLE

PROJECT = Path(__file__).parents[2]
PATIENCE = 90.0

SERVICES = ("executor", "recovery", "notifier", "admin-api")


@dataclass(frozen=True)
class Note:
    """A step began."""

    step: str
    pid: int
    at: float


@dataclass
class Bench:
    servers: RunningServers
    platform: RunningPlatform
    folder: Path
    http: httpx2.Client

    def start(self, definition: str) -> uuid.UUID:
        body = {"definition": definition, "input": {}}
        answer = self.http.post(f"{self.platform.api_url}/api/v1/workflows", json=body, headers=self._headers)
        answer.raise_for_status()
        return uuid.UUID(answer.json()["workflowId"])

    def recover(self, workflow_id: uuid.UUID) -> None:
        url = f"{self.platform.api_url}/api/v1/workflows/{workflow_id}/recover"
        self.http.post(url, headers=self._headers).raise_for_status()

    def status(self, workflow_id: uuid.UUID) -> str:
        answer = self.http.get(f"{self.platform.api_url}/api/v1/workflows/{workflow_id}", headers=self._headers)
        return str(answer.json()["status"]) if answer.is_success else ""

    def notes(self, workflow_id: uuid.UUID, step: str) -> list[Note]:
        file = self.folder / str(workflow_id)
        lines = file.read_text().splitlines() if file.exists() else []
        found = [Note(name, int(pid), float(at)) for name, pid, at in map(str.split, lines)]
        return [note for note in found if note.step == step]

    def begun(self, workflow_id: uuid.UUID, step: str, times: int = 1) -> Note:
        """Wait until a step has begun so often."""
        wait_for(lambda: len(self.notes(workflow_id, step)) >= times, f"{step} to begin for time {times}")
        return self.notes(workflow_id, step)[times - 1]

    def let_go(self, workflow_id: uuid.UUID) -> None:
        (self.folder / f"{workflow_id}.go").touch()

    def afresh(self, *names: str) -> None:
        """Start services that were killed once more, so that their deaths are not held against them."""
        for name in names:
            self.platform.services.stop_service(name)
            self.platform.services.start_service(name)
        self.platform.services.wait_ready(timedelta(seconds=60))

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.platform.token('sarah', 'admin')}"}


def wait_for(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.002)


# --- what is measured -------------------------------------------------------------------------------------------------


def executor_killed(bench: Bench) -> float:
    """Kill the executor that holds a workflow; another one runs."""
    workflow_id = bench.start("bench-held")
    holder = bench.begun(workflow_id, "hold").pid
    names = [name for name in ("executor", "executor-2") if bench.platform.services.pid_of(name) == holder]
    killed_at = time.time()
    bench.platform.services.kill(names[0])
    resumed = bench.begun(workflow_id, "hold", 2)
    bench.afresh(*names)
    return resumed.at - killed_at


def only_executor_killed(bench: Bench) -> float:
    """Kill the executor that holds a workflow; no other one runs, so it has to be started again."""
    bench.platform.services.stop_service("executor-2")
    workflow_id = bench.start("bench-held")
    bench.begun(workflow_id, "hold")
    killed_at = time.time()
    bench.platform.services.kill("executor")
    resumed = bench.begun(workflow_id, "hold", 2)
    bench.platform.services.start_service("executor-2")
    bench.afresh("executor")
    return resumed.at - killed_at


def recovery_killed(bench: Bench) -> float:
    """Kill recovery, then ask for a recovery at once."""
    workflow_id = bench.start("bench-failing")
    wait_for(lambda: bench.status(workflow_id) == "Failed", "the workflow to fail")
    killed_at = time.time()
    bench.platform.services.kill("recovery")
    bench.recover(workflow_id)
    resumed = bench.begun(workflow_id, "fail_once", 2)
    bench.afresh("recovery")
    return resumed.at - killed_at


def everything_killed(bench: Bench) -> float:
    """Kill all services."""
    workflow_id = bench.start("bench-held")
    bench.begun(workflow_id, "hold")
    killed_at = time.time()
    for name in (*SERVICES, "executor-2"):
        bench.platform.services.kill(name)
    resumed = bench.begun(workflow_id, "hold", 2)
    bench.afresh(*SERVICES, "executor-2")
    return resumed.at - killed_at


def server_killed(name: str, bench: Bench) -> float:
    """Kill a server and start it; from its first answer."""
    workflow_id = bench.start("bench-held")
    bench.begun(workflow_id, "hold")
    bench.servers[name].kill()
    bench.servers[name].start()
    answers_at = time.time()
    bench.let_go(workflow_id)
    resumed = bench.begun(workflow_id, "follow")
    bench.platform.services.wait_ready(timedelta(seconds=60))
    return max(0.0, resumed.at - answers_at)


# Rounds of a case, and the most that its slowest round may take.
CASES: tuple[tuple[str, Callable[[Bench], float], float, float], ...] = (
    ("executor killed, another one runs", executor_killed, 1.0, 1.0),
    ("the only executor killed", only_executor_killed, 0.5, 1.0),
    ("recovery killed, then asked to recover", recovery_killed, 0.5, 10.0),
    ("all services killed", everything_killed, 0.3, 10.0),
    ("broker killed and restarted", partial(server_killed, "rabbitmq"), 0.2, 10.0),
    ("database killed and restarted", partial(server_killed, "postgres"), 0.3, 10.0),
)


@contextmanager
def opened() -> Iterator[Bench]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    path = os.pathsep.join(filter(None, (str(PROJECT), kept.get("PYTHONPATH"))))
    with TemporaryDirectory() as folder:
        settings = {"PYTHONPATH": path, FOLDER_VARIABLE: folder, "RATCHET_WORKFLOWS": "tests.bench.kill_workflows"}
        root = PROJECT / ".ratchet" / "bench"
        with own_servers(root, say=lambda _text: None, fresh=True) as servers:
            wishes = Wishes(kept | settings, executors=2, private_ports=True)
            with (
                running_platform(servers.folder, servers.urls, wishes) as platform,
                httpx2.Client(trust_env=False, timeout=30) as http,
            ):
                time.sleep(2)  # the broker writes a new queue's registration a moment after it was declared
                yield Bench(servers, platform, Path(folder), http)


def main(rounds: int) -> int:
    """Measure and print; 1 if a limit was missed."""
    missed = False
    sys.stdout.write(f"{'kill to resume, seconds':42}{'rounds':>7}{'p50':>8}{'p99':>8}{'limit':>7}\n")
    with opened() as bench:
        for name, measure, share, limit in CASES:
            times = sorted(measure(bench) for _ in range(max(1, round(rounds * share))))
            p99 = times[min(len(times) - 1, round(len(times) * 0.99))]
            missed = missed or p99 > limit
            line = f"{name:42}{len(times):7}{statistics.median(times):8.3f}{p99:8.3f}{limit:7.0f}"
            sys.stdout.write(f"{line}{'   missed' if p99 > limit else ''}\n")
            sys.stdout.flush()
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
