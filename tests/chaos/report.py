"""How a run is told: a line after each fault, a table at the end, a file for whoever compares."""

import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from tests.chaos.account import Account
from tests.chaos.field import PROJECT

RESULTS = PROJECT / ".ratchet" / "chaos-results"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one fault."""

    fault: str
    strikes: int
    seconds: float
    account: Account


def line_of(row: Row) -> str:
    """One fault's verdict."""
    if row.account.holds:
        return f"[green]held[/]    {row.fault}: {row.strikes} strikes, {row.account.accepted} workflows"
    return f"[red]BROKEN[/]  {row.fault}: {_wrongs(row.account)}"


def table_of(rows: Sequence[Row]) -> Table:
    """All of them."""
    table = Table(title="What was promised to every accepted workflow, while things broke")
    for heading in ("fault", "strikes", "workflows", "recovered", "run again", "p50 s", "p99 s", "quiet after s", ""):
        table.add_column(heading, justify="left" if heading in ("fault", "") else "right", no_wrap=heading != "")
    for row in rows:
        account = row.account
        counts = (row.strikes, account.accepted, account.recovered, account.repeated)
        times = (account.p50, account.p99, account.quiet_after)
        verdict = "[green]held[/]" if account.holds else f"[red]{_wrongs(account)}[/]"
        table.add_row(row.fault, *map(str, counts), *(f"{seconds:.1f}" for seconds in times), verdict)
    return table


def write(rows: Sequence[Row], seed: int) -> Path:
    """Keep the figures; answers the file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    facts = {"at": now.isoformat(), "seed": seed, "cores": os.cpu_count(), "python": platform.python_version()}
    path = RESULTS / f"{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=2))
    return path


def keep_logs(logs: Path, fault: str) -> None:
    """The logs of a run that broke a promise, before the next one writes over them."""
    shutil.copytree(logs, RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{fault}")


def _wrongs(account: Account) -> str:
    return ", ".join(f"{count} {what}" for what, count in account.wrongs.items())
