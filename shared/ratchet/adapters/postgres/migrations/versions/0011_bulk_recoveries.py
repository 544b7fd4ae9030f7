"""Bulk recoveries: what was asked for, and the frozen selection with each item's outcome."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UP = (
    """
    CREATE TABLE bulk_recoveries (
        id uuid PRIMARY KEY,
        filter jsonb NOT NULL,
        actor text NOT NULL,
        reason varchar(500) NOT NULL,
        canary integer NOT NULL,
        total integer NOT NULL,
        state text NOT NULL DEFAULT 'running',
        detail varchar(500),
        correlation_id text NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz
    )
    """,
    "CREATE INDEX bulk_recoveries_by_age ON bulk_recoveries (requested_at DESC, id DESC)",
    "CREATE INDEX bulk_recoveries_running ON bulk_recoveries (requested_at) WHERE state = 'running'",
    """
    CREATE TABLE bulk_recovery_items (
        bulk_id uuid NOT NULL,
        position integer NOT NULL,
        workflow_id uuid NOT NULL,
        outcome text NOT NULL DEFAULT 'pending',
        recovery_id text,
        detail varchar(500),
        PRIMARY KEY (bulk_id, position)
    )
    """,
    "CREATE INDEX bulk_recovery_items_pending ON bulk_recovery_items (bulk_id, position) WHERE outcome = 'pending'",
    "CREATE INDEX bulk_recovery_items_by_recovery ON bulk_recovery_items (recovery_id) WHERE outcome = 'started'",
)

DOWN = ("DROP TABLE bulk_recovery_items", "DROP TABLE bulk_recoveries")


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
