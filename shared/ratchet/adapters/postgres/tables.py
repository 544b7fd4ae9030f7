"""The tables as SQLAlchemy sees them, for queries put together at run time; a test holds them to the schema."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from ratchet.domain.workflow import WorkflowStatus

METADATA = MetaData()
INSTANT = DateTime(timezone=True)
STATUS = Enum(
    WorkflowStatus, name="workflow_status", values_callable=lambda statuses: [status.value for status in statuses]
)

workflow_definitions = Table(
    "workflow_definitions",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("steps", JSONB, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("recovers_automatically", Boolean, nullable=False),
    Column("registered_at", INSTANT, nullable=False),
)

executors = Table(
    "executors",
    METADATA,
    Column("executor", Text, primary_key=True),
    Column("pools", ARRAY(Text), nullable=False),
    Column("is_unpacking", Boolean, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("seen_at", INSTANT, nullable=False),
    Column("left_at", INSTANT),
)

executor_definitions = Table(
    "executor_definitions",
    METADATA,
    Column("executor", Text, primary_key=True),
    Column("definition", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
)

workflow_instances = Table(
    "workflow_instances",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("status", STATUS, nullable=False),
    Column("input", JSONB, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("input_checksum", LargeBinary),
    Column("correlation_id", Text, nullable=False),
    Column("current_step_index", Integer, nullable=False),
    Column("current_step", Text),
    Column("waiting_for", Text),
    Column("pending_inputs", JSONB, nullable=False),
    Column("command_id", Text, nullable=False),
    Column("claim_token", Uuid),
    Column("claimed_by", Text),
    Column("lease_until", INSTANT),
    Column("retry_count", Integer, nullable=False),
    Column("failed_attempts", Integer, nullable=False),
    Column("next_attempt_at", INSTANT),
    Column("recoveries_since_progress", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("checkpoint_seq", Integer),
    Column("last_seq", Integer, nullable=False),
    Column("last_checkpoint_at", INSTANT),
    Column("failure_kind", Text),
    Column("failure_class", Text),
    Column("failure_reason", String(500)),
    Column("failed_at", INSTANT),
    Column("requires_manual_intervention", Boolean, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT),
    Column("failure_fingerprint", Text),
    Column("unserved_since", INSTANT),
)

checkpoints = Table(
    "checkpoints",
    METADATA,
    Column("workflow_id", Uuid, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("parent_seq", Integer),
    Column("step_index", Integer, nullable=False),
    Column("step_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("skipped", Boolean, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("claim_token", Uuid),
    Column("executor", Text),
    Column("started_at", INSTANT),
    Column("committed_at", INSTANT, nullable=False),
)

step_attempts = Table(
    "step_attempts",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("step_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("claim_token", Uuid, nullable=False),
    Column("executor", Text, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT, nullable=False),
    Column("next_attempt_at", INSTANT),
    Column("traceback", Text),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("delay_ms", Integer),
    Column("created_at", INSTANT, nullable=False),
)

user_feeds = Table(
    "user_feeds",
    METADATA,
    Column("feed", Text, primary_key=True),
    Column("newest", BigInteger, nullable=False),
    Column("pruned", BigInteger, nullable=False),
)

feed_readers = Table(
    "feed_readers",
    METADATA,
    Column("feed", Text, primary_key=True),
    Column("reader", Text, primary_key=True),
    Column("acknowledged", BigInteger),
    Column("muted", ARRAY(Text), nullable=False),
)

notifications = Table(
    "notifications",
    METADATA,
    Column("feed", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("workflow_id", Uuid, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("occurred_at", INSTANT, nullable=False),
    Column("stored_at", INSTANT, nullable=False),
)

recovery_attempts = Table(
    "recovery_attempts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", String(500)),
    Column("outcome", Text, nullable=False),
    Column("problem", Text),
    Column("detail", String(500)),
    Column("status", STATUS),
    Column("resumed_from", INSTANT),
    Column("resumed_step", Text),
    Column("checkpoint_seq", Integer),
    Column("damaged_checkpoints", ARRAY(Integer), nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("attempted_at", INSTANT, nullable=False),
    Column("status_before", STATUS),
    Column("since_seq", Integer),
    Column("awaited_step", Text),
    Column("lost_executor", Text),
)

audit_log = Table(
    "audit_log",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("at", INSTANT, nullable=False),
    Column("workflow_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", String(500)),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("outcome", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("route", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("answer", JSONB),
    Column("created_at", INSTANT, nullable=False),
    Column("operation_id", Uuid, nullable=False),
    Column("claimed_until", INSTANT, nullable=False),
)

accepted_starts = Table(
    "accepted_starts",
    METADATA,
    Column("workflow_id", Uuid, primary_key=True),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("accepted_at", INSTANT, nullable=False),
)

recovery_requests = Table(
    "recovery_requests",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", String(500)),
    Column("correlation_id", Text, nullable=False),
    Column("requested_at", INSTANT, nullable=False),
)

parked_messages = Table(
    "parked_messages",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("message_id", Text),
    Column("type", Text),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("correlation_id", Text),
    Column("body", LargeBinary, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("parked_by", Text, nullable=False),
    Column("parked_at", INSTANT, nullable=False),
    Column("resolution", Text),
    Column("resolved_at", INSTANT),
    Column("resolved_by", Text),
    Column("resolution_reason", String(500)),
    Column("queued", Boolean, nullable=False),
    Column("outcome", Text),
    Column("outcome_at", INSTANT),
)
