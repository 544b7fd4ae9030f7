"""What the admin API remembers: accepted starts, requested recoveries, and who holds an idempotency key."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = (
    # A start that was promised but that no executor has taken up yet; rows go once the instance exists.
    """
    CREATE TABLE accepted_starts (
        workflow_id uuid PRIMARY KEY,
        definition text NOT NULL,
        version integer NOT NULL,
        owner_id text NOT NULL,
        content_hash bytea NOT NULL,
        correlation_id text NOT NULL,
        accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX accepted_starts_by_owner ON accepted_starts (owner_id, accepted_at DESC, workflow_id DESC)",
    "CREATE INDEX accepted_starts_by_age ON accepted_starts (accepted_at DESC, workflow_id DESC)",
    # Tells a recovery that is still under way from one that nobody ever asked for.
    """
    CREATE TABLE recovery_requests (
        id text PRIMARY KEY,
        workflow_id uuid NOT NULL,
        kind text NOT NULL,
        actor text NOT NULL,
        reason varchar(500),
        correlation_id text NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    # The operation's id outlives a crash in its middle, so that whoever takes it up again repeats the same effect.
    """
    ALTER TABLE idempotency_keys
        ADD COLUMN operation_id uuid NOT NULL DEFAULT gen_random_uuid(),
        ADD COLUMN claimed_until timestamptz NOT NULL DEFAULT clock_timestamp()
    """,
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)",
    "CREATE INDEX notifications_by_workflow ON notifications (workflow_id)",
)

DOWN = (
    "DROP INDEX notifications_by_workflow",
    "DROP INDEX idempotency_keys_by_age",
    "ALTER TABLE idempotency_keys DROP COLUMN claimed_until, DROP COLUMN operation_id",
    "DROP TABLE recovery_requests",
    "DROP TABLE accepted_starts",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
