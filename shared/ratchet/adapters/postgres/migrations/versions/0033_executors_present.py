"""Which executors are there and what they can run; workflows that nobody can run; whether a replay helped."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

UP = (
    # Updated every two seconds by each executor, in place: no index holds the instant.
    """
    CREATE TABLE executors (
        executor text PRIMARY KEY,
        pools text[] NOT NULL,
        is_unpacking boolean NOT NULL DEFAULT false,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        left_at timestamptz
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE executor_definitions (
        executor text NOT NULL REFERENCES executors ON DELETE CASCADE,
        definition text NOT NULL,
        version integer NOT NULL,
        PRIMARY KEY (definition, version, executor)
    )
    """,
    "CREATE INDEX executor_definitions_of ON executor_definitions (executor)",
    "ALTER TABLE workflow_instances ADD COLUMN unserved_since timestamptz",
    """
    CREATE INDEX workflow_instances_unserved ON workflow_instances (unserved_since)
        WHERE unserved_since IS NOT NULL
    """,
    # Only failed attempts write it, so a step that succeeds costs no index work.
    """
    CREATE INDEX workflow_instances_due ON workflow_instances (next_attempt_at) WHERE next_attempt_at IS NOT NULL
    """,
    "ALTER TABLE parked_messages ADD COLUMN outcome text, ADD COLUMN outcome_at timestamptz",
    """
    CREATE INDEX parked_messages_replayed ON parked_messages (resolved_at)
        WHERE resolution = 'replayed' AND outcome IS NULL
    """,
    # Of what was replayed before, nobody kept what came of it.
    "UPDATE parked_messages SET outcome = 'unknown' WHERE resolution = 'replayed'",
)

DOWN = (
    "DROP INDEX parked_messages_replayed",
    "ALTER TABLE parked_messages DROP COLUMN outcome, DROP COLUMN outcome_at",
    "DROP INDEX workflow_instances_due",
    "DROP INDEX workflow_instances_unserved",
    "ALTER TABLE workflow_instances DROP COLUMN unserved_since",
    "DROP TABLE executor_definitions",
    "DROP TABLE executors",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
