"""`python -m tests.bench [--quick] [part …]`: measures on private servers, prints a table, writes JSON."""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # the measured workflows are a module of their own for the executors

from local_stack.servers import RunningServers
from rich.console import Console
from rich.table import Table

from tests.bench import kill, latency, limits, notifier, retries, throughput
from tests.bench.stage import PROJECT, servers_for_bench
from tests.bench.throughput import Throughput

console = Console()


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    single: int
    bulk: int
    failing: int
    light_seconds: int
    retries: int
    rounds: int
    old_rows: int
    growth: tuple[int, ...]


FULL = Size(
    single=8000,
    bulk=20_000,
    failing=4000,
    light_seconds=20,
    retries=1000,
    rounds=3,
    old_rows=1_000_000,
    growth=(1000, 10_000, 100_000),
)
QUICK = Size(single=300, bulk=600, failing=200, light_seconds=3, retries=50, rounds=1, old_rows=1000, growth=(200, 600))

Row = dict[str, Any]


def main() -> int:
    """Measure the named parts (all without a name)."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a smoke run: little work, same checks")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    size = QUICK if arguments.quick else FULL
    rows: list[Row] = []
    with servers_for_bench() as servers:
        for name in arguments.parts or PARTS:
            console.print(f"[bold]{name}[/]")
            rows += PARTS[name](servers, size)
    _show(rows)
    _write(rows, quick=arguments.quick)
    return 0


def _throughput(
    label: str, definition: str, *, bulk: int = 0, executors: int = 1, aged: bool = False
) -> Callable[..., list[Row]]:
    def measure(servers: RunningServers, size: Size) -> list[Row]:
        workflows = size.failing if definition == "bench-failing-once" else size.bulk if bulk else size.single
        runs = [
            throughput.measure(
                servers,
                definition,
                workflows,
                bulk=bulk,
                executors=executors,
                old_rows=size.old_rows if aged else 0,
            )
            for _ in range(1 if aged else size.rounds)
        ]
        return [_throughput_row(label, runs)]

    return measure


def _growth(servers: RunningServers, size: Size) -> list[Row]:
    """Whether a workflow costs the same among many as among few."""
    rows = []
    for workflows in size.growth:
        run = throughput.measure(servers, "bench-plain", workflows, bulk=100)
        rows.append(_throughput_row(f"Growth: {workflows:,} workflows, 100 starts a message", [run]))
    return rows


def _throughput_row(label: str, runs: list[Throughput]) -> Row:
    median = sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
    return {
        "what": label,
        "figure": f"{median.rate:,.0f} workflows/s, {median.rate * 5:,.0f} steps/s",
        "details": (
            f"{median.workflows:,} workflows, CPU s: executors {median.executor_cpu:.1f}, "
            f"Postgres {median.postgres_cpu:.1f}, RabbitMQ {median.rabbitmq_cpu:.1f} "
            f"({median.cpu_ms:.2f} ms a workflow); "
            f"peak {median.peak_mib:.0f} MiB, {median.batch:.0f} steps a commit"
        ),
        "workflows_per_second": [run.rate for run in runs],
        "median": asdict(median),
    }


def _latency(servers: RunningServers, size: Size) -> list[Row]:
    found = latency.measure(servers, size.light_seconds)
    figure = f"p50 {found.p50:.1f} ms, p95 {found.p95:.1f} ms, p99 {found.p99:.1f} ms"
    details = f"{found.workflows} workflows, from before the publish to the last commit"
    return [{"what": "Latency at 20 workflows/s", "figure": figure, "details": details, **asdict(found)}]


def _limits(servers: RunningServers, size: Size) -> list[Row]:
    found = limits.measure(servers, workflows=max(size.failing, 400), messages=size.single)
    return [
        {
            "what": "Limit: bare batched statement",
            "figure": f"{found.steps:,.0f} steps/s",
            "details": f"{limits.BATCH} steps a statement, {limits.LANES} connections",
            **asdict(found),
        },
        {
            "what": "Limit: bare messages",
            "figure": f"{found.published:,.0f} published/s, {found.consumed:,.0f} consumed/s",
            "details": "confirmed and persistent; acknowledged one by one",
        },
    ]


def _retries(servers: RunningServers, size: Size) -> list[Row]:
    found = retries.measure(servers, size.retries, size.retries * 4)
    return [
        {
            "what": "Retries after 1 s, beside 200 workflows/s",
            "figure": f"late by {found.late_p99:.0f} ms at p99",
            "details": (
                f"{found.retries} retries waited p50 {found.waited_p50:.0f}, p99 {found.waited_p99:.0f}, at least "
                f"{found.shortest_wait:.0f} ms (jitter: 800 to 1,000)"
            ),
            **asdict(found),
        }
    ]


def _kill(servers: RunningServers, size: Size) -> list[Row]:
    runs = [kill.measure(servers) for _ in range(size.rounds)]
    median = statistics.median(run.seconds for run in runs)
    return [
        {
            "what": "Executor killed with 200 in flight",
            "figure": f"all done {median:.2f} s after the kill",
            "details": f"a new one started after 1 s; committed twice: {max(run.committed_twice for run in runs)}",
            "runs": [asdict(run) for run in runs],
        }
    ]


def _notifier(servers: RunningServers, size: Size) -> list[Row]:
    return notifier.measure(servers, notifier.QUICK if size is QUICK else notifier.FULL)


PARTS: dict[str, Callable[[RunningServers, Size], list[Row]]] = {
    "limits": _limits,
    "w1": _throughput("W1: five steps, one start a message", "bench-plain"),
    "w1-bulk": _throughput("W1: five steps, 100 starts a message", "bench-plain", bulk=100),
    "aged": _throughput("W1 bulk, beside 1,000,000 old workflows", "bench-plain", bulk=100, aged=True),
    "growth": _growth,
    "w1-two": _throughput("W1: two executors, one start a message", "bench-plain", executors=2),
    "w2": _throughput("W2: every step fails once, retried at 0 s", "bench-failing-once"),
    "latency": _latency,
    "retries": _retries,
    "kill": _kill,
    "notifier": _notifier,
}


def _show(rows: list[Row]) -> None:
    table = Table(title="Measured on this machine, servers and publisher included")
    for heading in ("what", "figure", "details"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row["what"], row["figure"], row["details"])
    console.print(table)
    by_name = {row["what"]: row for row in rows}
    limit, bulk = by_name.get("Limit: bare batched statement"), by_name.get("W1: five steps, 100 starts a message")
    if limit and bulk:
        share = bulk["median"]["workflows"] * 5 / bulk["median"]["seconds"] / limit["steps"]
        console.print(f"Bulk starts reach {share:.0%} of the bare batched statement.")


def _write(rows: list[Row], *, quick: bool) -> None:
    folder = PROJECT / ".ratchet" / "bench-results"
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    facts = {"at": now.isoformat(), "cores": os.cpu_count(), "python": platform.python_version(), "quick": quick}
    path = folder / f"{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps({**facts, "rows": rows}, indent=2, default=str))
    console.print(f"Written to {path.relative_to(PROJECT)}")


if __name__ == "__main__":
    sys.exit(main())
