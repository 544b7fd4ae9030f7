"""The audit log's chain of hashes: rows are queued by a trigger as they are written, and sealed a moment later."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = (
    # Writers only add a row to this queue, in the order in which they happen to commit; nobody waits for anybody.
    "CREATE TABLE audit_unsealed (audit_id bigint PRIMARY KEY)",
    """
    CREATE TABLE audit_chain (
        position bigint PRIMARY KEY,
        audit_id bigint NOT NULL UNIQUE,
        hash bytea NOT NULL,
        sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE FUNCTION queue_audit_for_sealing() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id);
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER audit_log_queue_for_sealing AFTER INSERT ON audit_log
        FOR EACH ROW EXECUTE FUNCTION queue_audit_for_sealing()
    """,
    "INSERT INTO audit_unsealed (audit_id) SELECT id FROM audit_log",
)

DOWN = (
    "DROP TRIGGER audit_log_queue_for_sealing ON audit_log",
    "DROP FUNCTION queue_audit_for_sealing()",
    "DROP TABLE audit_chain",
    "DROP TABLE audit_unsealed",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
