"""The client library: `Client` for the admin API and notifications, `CommandPublisher` for commands over AMQP."""

from ratchet.client.command_messages import Envelope, Receipt
from ratchet.client.command_publisher import CommandPublisher
from ratchet.client.endpoints import Endpoints, TokenSource, endpoints_from
from ratchet.client.errors import (
    ClientError,
    InvalidCommand,
    NotConfigured,
    NotConfirmed,
    NotRecovered,
    NotRouted,
    Problem,
    ServerUnreachable,
    WaitTimeout,
)
from ratchet.client.filters import FailedFilter, FailedSort, WorkflowFilter
from ratchet.client.notifications import Notification, NotificationStream
from ratchet.client.results import (
    AttemptView,
    AuditVerification,
    CheckpointView,
    EventView,
    History,
    Page,
    RecoveryResult,
    RecoveryView,
    StartedWorkflow,
    StepView,
    View,
    WorkflowSummary,
    WorkflowView,
)
from ratchet.client.workflows import Client
from ratchet.messages.commands import StartWorkflow

__all__ = [
    "AttemptView",
    "AuditVerification",
    "CheckpointView",
    "Client",
    "ClientError",
    "CommandPublisher",
    "Endpoints",
    "Envelope",
    "EventView",
    "FailedFilter",
    "FailedSort",
    "History",
    "InvalidCommand",
    "NotConfigured",
    "NotConfirmed",
    "NotRecovered",
    "NotRouted",
    "Notification",
    "NotificationStream",
    "Page",
    "Problem",
    "Receipt",
    "RecoveryResult",
    "RecoveryView",
    "ServerUnreachable",
    "StartWorkflow",
    "StartedWorkflow",
    "StepView",
    "TokenSource",
    "View",
    "WaitTimeout",
    "WorkflowFilter",
    "WorkflowSummary",
    "WorkflowView",
    "endpoints_from",
]
