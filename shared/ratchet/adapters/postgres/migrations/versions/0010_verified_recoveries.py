"""What became of recoveries: what each one waits for, who was lost, the verdict, and the state of the scan."""

from alembic import op

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = (
    # Written once, with the recovery: how the workflow stood, and which step has to pass for it to have helped.
    """
    ALTER TABLE recovery_attempts
        ADD COLUMN status_before workflow_status,
        ADD COLUMN since_seq integer,
        ADD COLUMN awaited_step text,
        ADD COLUMN lost_executor text
    """,
    "CREATE INDEX recovery_attempts_rescues ON recovery_attempts (attempted_at) WHERE kind = 'rescue'",
    # Recoveries whose end is not known yet. A row goes when its verdict is there, so the table stays small.
    """
    CREATE TABLE recovery_watches (
        recovery_id text PRIMARY KEY,
        workflow_id uuid NOT NULL
    )
    """,
    """
    CREATE TABLE recovery_verdicts (
        recovery_id text PRIMARY KEY,
        workflow_id uuid NOT NULL,
        kind text NOT NULL,
        verdict text NOT NULL,
        settled_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX recovery_verdicts_by_time ON recovery_verdicts (settled_at)",
    "CREATE INDEX recovery_verdicts_by_workflow ON recovery_verdicts (workflow_id)",
    # One row: the scans of all recovery services are one.
    """
    CREATE TABLE scan_state (
        id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
        breaker text NOT NULL DEFAULT 'closed',
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        probe_at timestamptz,
        trips integer NOT NULL DEFAULT 0,
        scanned_at timestamptz,
        resumed integer NOT NULL DEFAULT 0,
        failed integer NOT NULL DEFAULT 0,
        attended integer NOT NULL DEFAULT 0,
        held_back integer NOT NULL DEFAULT 0
    )
    """,
    "INSERT INTO scan_state DEFAULT VALUES",
)

DOWN = (
    "DROP TABLE scan_state",
    "DROP TABLE recovery_verdicts",
    "DROP TABLE recovery_watches",
    "DROP INDEX recovery_attempts_rescues",
    """
    ALTER TABLE recovery_attempts
        DROP COLUMN lost_executor, DROP COLUMN awaited_step, DROP COLUMN since_seq, DROP COLUMN status_before
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
