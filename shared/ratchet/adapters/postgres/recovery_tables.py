"""The tables around recoveries as SQLAlchemy sees them; part of the same picture as `tables`."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from ratchet.adapters.postgres.tables import INSTANT, METADATA, STATUS

recovery_watches = Table(
    "recovery_watches",
    METADATA,
    Column("recovery_id", Text, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
)

recovery_verdicts = Table(
    "recovery_verdicts",
    METADATA,
    Column("recovery_id", Text, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("settled_at", INSTANT, nullable=False),
)

scan_state = Table(
    "scan_state",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("breaker", Text, nullable=False),
    Column("changed_at", INSTANT, nullable=False),
    Column("probe_at", INSTANT),
    Column("trips", Integer, nullable=False),
    Column("scanned_at", INSTANT),
    Column("resumed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("attended", Integer, nullable=False),
    Column("held_back", Integer, nullable=False),
)

bulk_recoveries = Table(
    "bulk_recoveries",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("filter", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("canary", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", String(500)),
    Column("correlation_id", Text, nullable=False),
    Column("requested_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT),
    Column("rate", Integer),
)

bulk_recovery_items = Table(
    "bulk_recovery_items",
    METADATA,
    Column("bulk_id", Uuid, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("recovery_id", Text),
    Column("detail", String(500)),
)

audit_unsealed = Table("audit_unsealed", METADATA, Column("audit_id", BigInteger, primary_key=True))

audit_chain = Table(
    "audit_chain",
    METADATA,
    Column("position", BigInteger, primary_key=True),
    Column("audit_id", BigInteger, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
    Column("sealed_at", INSTANT, nullable=False),
)

archived_workflows = Table(
    "archived_workflows",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("workflow_id", Uuid, nullable=False),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("status", STATUS, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT, nullable=False),
    Column("archived_at", INSTANT, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("purged_at", INSTANT),
)

archived_failures = Table(
    "archived_failures",
    MetaData(),
    Column("id", Uuid),
    Column("definition", Text),
    Column("version", Integer),
    Column("owner_id", Text),
    Column("status", STATUS),
    Column("created_at", INSTANT),
    Column("failed_at", INSTANT),
    Column("archived_at", INSTANT),
    Column("current_step", Text),
    Column("retry_count", Integer),
    Column("failure_kind", Text),
    Column("failure_class", Text),
    Column("failure_reason", String(500)),
    Column("requires_manual_intervention", Boolean),
    Column("waiting_for", Text),
    Column("next_attempt_at", INSTANT),
    Column("last_checkpoint_at", INSTANT),
    Column("updated_at", INSTANT),
    Column("finished_at", INSTANT),
    Column("correlation_id", Text),
    Column("failure_fingerprint", Text),
)
"""A view, so no part of the schema that is compared: the archive's failed workflows in the columns of live ones."""
