"""The input has a checksum; an audit entry that goes away before it is sealed leaves a link that says so."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

UP = (
    # Rows that were there before have none, and are believed as before.
    "ALTER TABLE workflow_instances ADD COLUMN input_checksum bytea",
    # Whatever has not been sealed stays queued, or is queued again, so that the sealer finds that its entry is gone.
    """
    CREATE FUNCTION keep_audit_queued() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        gone bigint := (to_jsonb(OLD) ->> TG_ARGV[0])::bigint;
    BEGIN
        IF NOT EXISTS (SELECT FROM audit_chain WHERE audit_id = gone) THEN
            INSERT INTO audit_unsealed (audit_id) VALUES (gone) ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE CONSTRAINT TRIGGER audit_log_keep_queued AFTER DELETE ON audit_log DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION keep_audit_queued('id')
    """,
    """
    CREATE CONSTRAINT TRIGGER audit_unsealed_keep_queued AFTER DELETE ON audit_unsealed DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION keep_audit_queued('audit_id')
    """,
)

DOWN = (
    "DROP TRIGGER audit_unsealed_keep_queued ON audit_unsealed",
    "DROP TRIGGER audit_log_keep_queued ON audit_log",
    "DROP FUNCTION keep_audit_queued()",
    "ALTER TABLE workflow_instances DROP COLUMN input_checksum",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
