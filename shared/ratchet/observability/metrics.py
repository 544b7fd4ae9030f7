"""Every metric, declared once: prefix `ratchet_`, labels from closed sets, never ids."""

from collections.abc import Iterable
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

STEP_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
QUICK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


PATIENT_SECONDS = (*QUICK_SECONDS, 10, 30, 60, 300)
"""For what an alert compares with seconds: a quantile is never more than the largest bound."""


def begin(counter: Counter, *members: Iterable[str]) -> None:
    """Show every combination of label values from the start; each of `members` is the closed set of one label's.

    A series that begins with its first event shows no increase.
    """
    for values in product(*members):
        counter.labels(*values)


def new_registry() -> CollectorRegistry:
    """A registry of one service, with the process's own figures in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class DeliveryMetrics:
    """What every service that consumes counts about deliveries whose handling failed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Counter(
            "ratchet_delivery_failures_total",
            "Tries to handle a delivery that failed",
            ["queue", "trouble"],
            registry=registry,
        )
        self.failing = Gauge(
            "ratchet_deliveries_failing",
            "Deliveries whose latest try failed; they wait and are tried again",
            ["queue"],
            registry=registry,
        )
        self.set_aside = Counter(
            "ratchet_deliveries_set_aside_total",
            "Messages parked because they failed while others passed",
            ["queue"],
            registry=registry,
        )


class BackgroundMetrics:
    """What every service counts about the tasks that it keeps running."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ends = Counter(
            "ratchet_background_task_ends_total",
            "Ends of tasks that are meant to run as long as their service",
            ["task"],
            registry=registry,
        )


class ExecutorMetrics:
    """What the executor counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = DeliveryMetrics(registry)
        self.background = BackgroundMetrics(registry)
        self.started = Counter("ratchet_workflows_started_total", "Workflows accepted", registry=registry)
        self.finished = Counter(
            "ratchet_workflows_finished_total", "Workflows ended by the executor", ["status"], registry=registry
        )
        self.steps = Counter("ratchet_steps_total", "Step executions", ["outcome"], registry=registry)
        self.step_seconds = Histogram(
            "ratchet_step_seconds", "Time inside step code", buckets=STEP_SECONDS, registry=registry
        )
        self.retries = Counter("ratchet_step_retries_total", "Retries planned", registry=registry)
        self.stale = Counter(
            "ratchet_stale_messages_total", "Deliveries that had nothing to do", ["reason"], registry=registry
        )
        self.fenced = Counter(
            "ratchet_fenced_commits_total", "Commits refused because the claim was lost", registry=registry
        )
        self.takeovers = Counter(
            "ratchet_takeovers_total", "Workflows taken over from a dead executor", registry=registry
        )
        self.parked = Counter("ratchet_parked_messages_total", "Messages set aside", registry=registry)
        self.running = Gauge("ratchet_running_workflows", "Workflows claimed by this executor", registry=registry)
        self.loop_blocked = Counter(
            "ratchet_loop_blocked_seconds_total",
            "Time in which a step's code kept the event loop from turning",
            ["definition", "step"],
            registry=registry,
        )
        self.loop_blocked.labels("unknown", "unknown")
        self.hanging_threads = Gauge(
            "ratchet_hanging_threads",
            "Threads whose step was given up and whose function has not returned",
            registry=registry,
        )
        self.unserved_pools = Gauge(
            "ratchet_unserved_pools", "Pools of known workflows that no executor serves", registry=registry
        )
        self.dependencies = Gauge(
            "ratchet_dependency_breaker",
            "1 for the state that a dependency's breaker is in",
            ["dependency", "state"],
            registry=registry,
        )
        self.held_back = Counter(
            "ratchet_steps_held_back_total",
            "Steps put off, without an attempt, because what they depend on is down",
            ["dependency"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "ratchet_commit_seconds", "Time to commit a batch", buckets=PATIENT_SECONDS, registry=registry
        )
        self.commit_batch = Histogram(
            "ratchet_commit_batch_size",
            "Members of a batch",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=registry,
        )


class RecoveryMetrics:
    """What the recovery service counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = DeliveryMetrics(registry)
        self.background = BackgroundMetrics(registry)
        self.commands = Counter(
            "ratchet_recovery_commands_total", "Recovery commands", ["command", "outcome"], registry=registry
        )
        self.dead_letters = Counter(
            "ratchet_dead_letters_total", "Dead letters looked at", ["verdict"], registry=registry
        )
        self.rescues = Counter(
            "ratchet_rescues_total", "Interrupted workflows found by the scan", ["outcome"], registry=registry
        )
        self.scans = Counter("ratchet_restart_scans_total", "Restart scans", ["outcome"], registry=registry)
        self.last_scan = Gauge("ratchet_last_scan_timestamp_seconds", "End of the last scan", registry=registry)
        self.relayed = Counter("ratchet_outbox_relayed_total", "Messages a crash left behind", registry=registry)
        self.outbox = Gauge("ratchet_outbox_messages", "Messages waiting to be published", registry=registry)
        self.outbox_age = Gauge(
            "ratchet_outbox_oldest_seconds", "Wait of the oldest message in the outbox", registry=registry
        )
        self.needing_attention = Gauge(
            "ratchet_workflows_needing_attention", "Failed workflows that need a person", registry=registry
        )
        self.needing_attention_new = Gauge(
            "ratchet_workflows_needing_attention_new",
            "Failed workflows that need a person and failed within the last hour",
            registry=registry,
        )
        self.needing_attention_age = Gauge(
            "ratchet_workflows_needing_attention_oldest_seconds",
            "Wait of the longest failed workflow that needs a person",
            registry=registry,
        )
        self.scan_interval = Gauge(
            "ratchet_scan_interval_seconds", "How often a restart scan is asked for", registry=registry
        )
        self.parked = Counter("ratchet_recovery_parked_messages_total", "Messages set aside", registry=registry)
        self.parked_open = Gauge(
            "ratchet_parked_messages_open", "Parked messages that nobody has settled yet", registry=registry
        )
        self.parked_age = Gauge("ratchet_parked_oldest_seconds", "Wait of the oldest parked message", registry=registry)
        self.verdicts = Counter(
            "ratchet_recovery_verdicts_total", "Recoveries by what became of them", ["verdict"], registry=registry
        )
        self.watched = Gauge("ratchet_recoveries_watched", "Recoveries without a verdict", registry=registry)
        self.breaker = Gauge(
            "ratchet_scan_breaker", "1 for the state that the scan's breaker is in", ["state"], registry=registry
        )
        self.bulk_items = Counter(
            "ratchet_bulk_recovery_items_total", "Items of bulk recoveries", ["outcome"], registry=registry
        )
        self.bulk_running = Gauge("ratchet_bulk_recoveries_running", "Bulk recoveries under way", registry=registry)
        self.bulk_ended = Counter(
            "ratchet_bulk_recoveries_ended_total", "Bulk recoveries by how they ended", ["state"], registry=registry
        )
        self.overdue = Counter(
            "ratchet_overdue_retries_total",
            "Retries whose command was sent again because it was overdue",
            registry=registry,
        )
        self.unserved = Gauge(
            "ratchet_workflows_without_executor", "Workflows that no executor can run now", registry=registry
        )
        self.sealed = Counter("ratchet_audit_entries_sealed_total", "Audit entries put in the chain", registry=registry)
        self.unsealed = Gauge("ratchet_audit_entries_unsealed", "Audit entries not in the chain yet", registry=registry)
        self.unsealed_age = Gauge(
            "ratchet_audit_oldest_unsealed_seconds", "Wait of the oldest audit entry for its seal", registry=registry
        )
        self.archived = Counter("ratchet_workflows_archived_total", "Old workflows archived", registry=registry)
        self.purged = Counter(
            "ratchet_workflows_purged_total", "Archived workflows deleted because of their age", registry=registry
        )


class NotifierMetrics:
    """What the notifier counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = DeliveryMetrics(registry)
        self.background = BackgroundMetrics(registry)
        self.stored = Counter("ratchet_notifications_stored_total", "Events kept in feeds", ["type"], registry=registry)
        self.duplicates = Counter(
            "ratchet_notification_duplicates_total", "Events that were stored already", registry=registry
        )
        self.parked = Counter("ratchet_notifier_parked_messages_total", "Events set aside", registry=registry)
        self.pushed = Counter(
            "ratchet_notifications_pushed_total", "Events sent to sockets", ["face"], registry=registry
        )
        self.sockets = Gauge("ratchet_sockets_open", "Open connections", ["face"], registry=registry)
        self.redis = Gauge("ratchet_redis_connected", "1 while hints of other notifiers are heard", registry=registry)
        self.refused = Counter("ratchet_sockets_refused_total", "Connections refused", ["reason"], registry=registry)
        self.dropped = Counter("ratchet_sockets_dropped_total", "Connections cut off", ["reason"], registry=registry)
        self.push_seconds = Histogram(
            "ratchet_push_seconds", "From the event to its fan-out", buckets=PATIENT_SECONDS, registry=registry
        )


class AdminMetrics:
    """What the admin API counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.background = BackgroundMetrics(registry)
        self.requests = Counter("http_requests_total", "Requests", ["method", "route", "status"], registry=registry)
        self.seconds = Histogram(
            "http_request_seconds", "Time to answer", ["method", "route"], buckets=QUICK_SECONDS, registry=registry
        )
        self.manual_actions = Counter(
            "ratchet_manual_actions_total", "Actions of people", ["action", "outcome"], registry=registry
        )
