"""Counters show every label value of a closed set from the start, so that the first event is an increase."""

from typing import Any

from executor.run_workflow import RunWorkflow
from notifier.connections import Connections, End, Limits
from notifier.refuse import Reason
from notifier.subscribers import KeepEvent
from prometheus_client import CollectorRegistry
from ratchet.domain.bulk_recovery import BulkState, ItemOutcome
from ratchet.domain.recovery import RecoveryKind, RecoveryOutcome
from ratchet.domain.verification import Verdict
from ratchet.messages.events import EventType
from ratchet.observability.metrics import ExecutorMetrics, NotifierMetrics, RecoveryMetrics
from ratchet.ports import ClaimVerdict
from recovery.handle_command import HandleCommand
from recovery.look_after import LookAfter
from recovery.look_after import Verdict as DeadLetter
from recovery.restart_scan import RestartScan
from recovery.run_bulk import RunBulk
from recovery.verify_recoveries import VerifyRecoveries

NOTHING: Any = None


def values(registry: CollectorRegistry, counter: str, *labels: str) -> set[tuple[str, ...]]:
    """The label values that are shown, all of them as 0."""
    [family] = [family for family in registry.collect() if family.name == counter]
    samples = [sample for sample in family.samples if sample.name == f"{counter}_total"]
    assert {sample.value for sample in samples} == {0}
    return {tuple(sample.labels[label] for label in labels) for sample in samples}


def single(*members: str) -> set[tuple[str, ...]]:
    return {(member,) for member in members}


def test_those_of_the_executor() -> None:
    registry = CollectorRegistry()
    metrics = ExecutorMetrics(registry)
    RunWorkflow(
        **dict.fromkeys(
            (
                *("store", "registry", "holdings", "outlet", "leave", "rules"),
                *("threads", "dependencies", "reach", "call_http"),
            ),
            NOTHING,
        ),
        metrics=metrics,
    )
    assert values(registry, "ratchet_steps", "outcome") == single("committed", "failed")
    assert values(registry, "ratchet_workflows_finished", "status") == single("Completed", "Failed")
    assert values(registry, "ratchet_stale_messages", "reason") >= single(*ClaimVerdict)


def test_those_of_recovery() -> None:
    registry = CollectorRegistry()
    metrics = RecoveryMetrics(registry)
    LookAfter(NOTHING, metrics)
    VerifyRecoveries(NOTHING, metrics)
    HandleCommand(NOTHING, metrics)
    RunBulk(NOTHING, metrics, rate=1)
    RestartScan(
        **dict.fromkeys(("store", "ledger", "unserved", "look_after", "rules", "senses"), NOTHING), metrics=metrics
    )
    assert values(registry, "ratchet_dead_letters", "verdict") == single(*DeadLetter, "returned", "parked")
    assert values(registry, "ratchet_recovery_verdicts", "verdict") == single(*Verdict)
    assert values(registry, "ratchet_recovery_commands", "command", "outcome") == {
        (kind, outcome) for kind in RecoveryKind for outcome in RecoveryOutcome
    }
    assert values(registry, "ratchet_bulk_recoveries_ended", "state") == single(*BulkState)
    assert values(registry, "ratchet_bulk_recovery_items", "outcome") == single(*ItemOutcome)
    assert values(registry, "ratchet_restart_scans", "outcome") == single("skipped", "paused", "done")
    assert values(registry, "ratchet_rescues", "outcome") == single("resumed", "failed")


def test_those_of_the_notifier() -> None:
    registry = CollectorRegistry()
    metrics = NotifierMetrics(registry)
    Connections(metrics, Limits(total=1, per_user=1))
    KeepEvent(store=NOTHING, parking=NOTHING, followed=NOTHING, announce=NOTHING, metrics=metrics)
    assert values(registry, "ratchet_sockets_refused", "reason") == single(*Reason)
    assert values(registry, "ratchet_sockets_dropped", "reason") == single(*(end.reason for end in End))
    assert values(registry, "ratchet_notifications_stored", "type") == single(*EventType)
