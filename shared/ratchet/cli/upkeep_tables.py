"""What operators look at, as tables: failure groups, bulk recoveries, parked messages, the audit log, queues."""

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ratchet.cli.tables import columns, facts_grid
from ratchet.cli.wording import ago, clock_time, plain, status_text
from ratchet.client.results import RecoveryState
from ratchet.client.upkeep_results import (
    AuditEntry,
    BulkItem,
    BulkRecovery,
    DependencyStanding,
    FailureGroup,
    Overview,
    ParkedMessage,
    QueueState,
    ScanReport,
)
from ratchet.domain.breaker import BreakerState
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome
from ratchet.domain.dependency import DependencyState

BULK_STYLES: dict[BulkState, str] = {
    BulkState.RUNNING: "bold cyan",
    BulkState.COMPLETED: "bold green",
    BulkState.STOPPED: "bold red",
    BulkState.CANCELLED: "magenta",
}

OUTCOME_STYLES: dict[ItemOutcome, str] = {
    ItemOutcome.PENDING: "dim",
    ItemOutcome.STARTED: "cyan",
    ItemOutcome.VERIFIED: "green",
    ItemOutcome.RELAPSED: "bold red",
    ItemOutcome.FAILED: "red",
    ItemOutcome.SKIPPED: "yellow",
}

_BREAKER_LINES = {
    BreakerState.CLOSED: ("closed: interrupted workflows are rescued", "green"),
    BreakerState.OPEN: ("open: most rescues failed again, so nobody is rescued for now", "bold red"),
    BreakerState.PROBING: ("probing: a few are rescued to see whether it helps", "yellow"),
}

_BARS = "▁▂▃▄▅▆▇█"


def groups_table(items: Iterable[FailureGroup]) -> Table:
    """Failures that look alike, with how many came in each of the last 24 hours."""
    table = columns("count", "definition", "step", "error", "last 24 h", "last", "message", "group")
    for item in items:
        table.add_row(
            str(item.count),
            plain(item.definition),
            plain(item.step),
            plain(item.error_class),
            _bars(item.trend),
            ago(item.last_seen),
            plain(item.message),
            plain(item.fingerprint),
        )
    return table


def bulk_table(items: Iterable[BulkRecovery]) -> Table:
    """Bulk recoveries as a list."""
    table = columns("bulk recovery", "state", "of", "verified", "relapsed", "failed", "by", "asked for", "which", "why")
    for item in items:
        table.add_row(
            str(item.recovery_id),
            bulk_state(item.state),
            str(item.total),
            str(item.verified),
            str(item.relapsed),
            str(item.failed),
            plain(item.actor),
            ago(item.requested_at),
            filter_text(item.filter),
            plain(item.reason),
        )
    return table


def bulk_state(state: BulkState) -> Text:
    """Where a bulk recovery stands, in its colour."""
    return Text(state.value, style=BULK_STYLES[state])


def items_table(items: Iterable[BulkItem]) -> Table:
    """What became of each workflow of a bulk recovery."""
    table = columns("workflow", "outcome", "detail")
    for item in items:
        outcome = Text(item.outcome.value, style=OUTCOME_STYLES[item.outcome])
        table.add_row(str(item.workflow_id), outcome, plain(item.detail))
    return table


def filter_text(chosen: Mapping[str, object]) -> Text:
    """Which failed workflows are meant, in one line."""
    if isinstance(ids := chosen.get("workflowIds"), list):
        return plain(f"{len(ids)} workflows by their ids")
    named = {name: value for name, value in chosen.items() if name != "all"}
    return plain(" ".join(f"{name}={value}" for name, value in named.items()) or "every failed workflow")


def parked_table(items: Iterable[ParkedMessage]) -> Table:
    """Parked messages as a list."""
    table = columns("message", "parked", "by", "type", "sent to", "reason", "since then")
    for item in items:
        table.add_row(
            str(item.id),
            ago(item.parked_at),
            plain(item.parked_by),
            plain(item.type),
            plain(f"{item.exchange} {item.routing_key}"),
            plain(item.reason),
            plain(item.resolution if item.outcome is None else f"{item.resolution}, {item.outcome}"),
        )
    return table


def audit_table(items: Iterable[AuditEntry]) -> Table:
    """Who did what."""
    table = columns("entry", "when", "who", "what", "workflow", "outcome", "why")
    for item in items:
        table.add_row(
            str(item.id),
            clock_time(item.at),
            plain(item.actor),
            plain(item.action),
            plain(item.workflow_id),
            plain(item.outcome, "red" if item.outcome in {"refused", "failed"} else ""),
            plain(item.reason),
        )
    return table


def overview_card(seen: Overview) -> RenderableType:
    """Counts, and the queues below them."""
    broker = Text("reachable", style="green") if seen.broker_reachable else Text("away", style="bold red")
    outbox = Text(str(seen.outbox))
    if seen.oldest_message_at is not None:
        outbox = Text.assemble(outbox, ", the oldest from ", ago(seen.oldest_message_at))
    facts: list[tuple[str, RenderableType]] = [
        ("failed", Text(str(seen.failed), style="bold red" if seen.failed else "")),
        ("executing", str(seen.executing)),
        ("between two steps", str(seen.in_progress)),
        ("waiting for a retry", str(seen.waiting_for_retry)),
        ("waiting for a command", str(seen.waiting_for_command)),
        ("due, waiting in line", str(seen.waiting_in_line)),
        *(
            (
                f"{item.definition} v{item.version}, {item.pool}",
                Text.assemble((f"{item.workflows} without an executor", "bold yellow"), ", since ", ago(item.since)),
            )
            for item in seen.unserved
        ),
        ("executors at work", str(seen.executors_at_work)),
        ("messages to be sent", outbox),
        ("parked messages", Text(str(seen.parked), style="bold yellow" if seen.parked else "")),
        ("requests on their way", _requests(seen)),
        ("broker", broker),
        ("recovery", _recovery(seen)),
    ]
    facts += [(f"depends on {item.name}", _standing(item)) for item in seen.dependencies]
    return Group(facts_grid(facts), Text(), _queues_table(seen.queues))


def _requests(seen: Overview) -> Text:
    if seen.oldest_request_at is None:
        return Text(str(seen.requests_waiting))
    return Text.assemble(str(seen.requests_waiting), ", the oldest from ", ago(seen.oldest_request_at))


def _recovery(seen: Overview) -> Text:
    if seen.recovery_silent_since is None:
        return Text("answers", style="green")
    return Text.assemble(("silent", "bold red"), " since ", ago(seen.recovery_silent_since))


def scan_card(report: ScanReport) -> RenderableType:
    """The restart scan: its breaker and what the last one did."""
    breaker = report.breaker
    facts: list[tuple[str, RenderableType]] = [
        ("breaker", Text(*_BREAKER_LINES[breaker.state])),
        ("since", clock_time(breaker.changed_at)),
        (
            "recent rescues",
            f"{breaker.verified} verified, {breaker.relapsed} relapsed, {breaker.pending} not known yet",
        ),
        ("last scan", ago(report.scanned_at)),
        ("it", f"resumed {report.resumed}, gave up {report.failed}, looked after {report.attended}"),
    ]
    if breaker.probe_at is not None:
        facts.insert(2, ("tries again at", clock_time(breaker.probe_at)))
    if report.held_back:
        facts.append(("held back", Text(str(report.held_back), style="bold yellow")))
    return facts_grid(facts)


def recovery_card(state: RecoveryState) -> RenderableType:
    """What came of a recovery."""
    styles = {True: "bold green", False: "bold red", None: "yellow"}
    facts: list[tuple[str, RenderableType]] = [
        ("recovery", plain(state.recovery_id)),
        ("outcome", plain(state.outcome, styles[state.success])),
        ("status", status_text(state.status) if state.status else plain(None)),
        ("goes on at", plain(state.resumed_step)),
        ("from", clock_time(state.resumed_from)),
        ("detail", plain(state.detail)),
    ]
    return facts_grid(facts)


def _standing(item: DependencyStanding) -> Text:
    match item.state:
        case None:
            return Text("not known: Redis does not answer", style="yellow")
        case DependencyState.CLOSED:
            return Text("well", style="green")
        case DependencyState.OPEN:
            return Text.assemble(
                ("down: its steps are held back", "bold red"), ", one tries at ", clock_time(item.probe_at)
            )
        case DependencyState.PROBING:
            return Text("coming back: its steps go in waves", style="yellow")


def _queues_table(queues: Iterable[QueueState]) -> Table:
    table = columns("queue", "ready", "consumers")
    for queue in queues:
        table.add_row(plain(queue.name), plain(queue.messages), plain(queue.consumers))
    return table


def _bars(counts: tuple[int, ...]) -> Text:
    highest = max(counts, default=0)
    return Text("".join(_BARS[0 if not highest else (len(_BARS) - 1) * count // highest] for count in counts))
