"""The command `ratchet doctor`: everything is looked at at the same time, then told in one table."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ratchet.cli.doctor.check_postgres import check_postgres
from ratchet.cli.doctor.check_rabbitmq import check_rabbitmq
from ratchet.cli.doctor.check_redis import check_redis
from ratchet.cli.doctor.check_services import check_services
from ratchet.cli.doctor.expected import expected_of, registered
from ratchet.cli.doctor.findings import Finding, Level
from ratchet.cli.environment import environment
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.options import Show
from ratchet.cli.wording import plain

NO_SHOW = Show()

_MARKS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.RED: ("✗", "bold red")}


async def doctor(*, show: Show = NO_SHOW) -> ExitCode:
    """Check the servers and services, and say what to do about whatever is not right. Changes nothing."""
    findings = await examine(environment())
    reds = sum(finding.level is Level.RED for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    show.screen().answer(
        {"healthy": not reds, "findings": [asdict(finding) for finding in findings]},
        findings_table(findings),
        _verdict(reds, warnings),
    )
    return ExitCode.FAILED if reds else ExitCode.DONE


async def examine(environ: Mapping[str, str]) -> list[Finding]:
    """Every finding, grouped by area."""
    checks: list[Awaitable[list[Finding]]] = [
        _postgres(environ.get("RATCHET_DATABASE_URL")),
        _rabbitmq(environ),
        _redis(environ.get("RATCHET_REDIS_URL")),
        check_services(environ),
    ]
    return [finding for findings in await asyncio.gather(*checks) for finding in findings]


def findings_table(findings: Sequence[Finding]) -> Table:
    """The findings with their advice below them."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("", "where", "what", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.level]
        found = plain(finding.found, "" if finding.level is Level.OK else style)
        if finding.advice:
            found = Text.assemble(found, "\n", plain(f"→ {finding.advice}"))
        table.add_row(Text(mark, style=style), finding.area, plain(finding.subject), found)
    return table


def _verdict(reds: int, warnings: int) -> Text:
    remarks = f", {warnings} warning{'s' if warnings != 1 else ''}" if warnings else ""
    if reds:
        return Text(f"{reds} thing{'s' if reds != 1 else ''} to put right{remarks}.", style="bold red")
    return Text(f"All is well{remarks}.", style="bold green")


async def _postgres(url: str | None) -> list[Finding]:
    return await check_postgres(url) if url else [_unset("Postgres", "RATCHET_DATABASE_URL")]


async def _redis(url: str | None) -> list[Finding]:
    return await check_redis(url) if url else [_unset("Redis", "RATCHET_REDIS_URL")]


async def _rabbitmq(environ: Mapping[str, str]) -> list[Finding]:
    amqp_url, database_url = environ.get("RATCHET_AMQP_URL"), environ.get("RATCHET_DATABASE_URL")
    if not amqp_url:
        return [_unset("RabbitMQ", "RATCHET_AMQP_URL")]
    definitions = await registered(database_url) if database_url else []
    return await check_rabbitmq(amqp_url, expected_of(environ).joined(definitions))


def _unset(area: str, name: str) -> Finding:
    advice = "Set it, or run ratchet in the folder of a running platform (`make up` writes .ratchet/env)"
    return Finding(area, "address", Level.RED, f"{name} is not set", advice)
