"""The archive of finished workflows, and what became of parked messages."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = (
    """
    ALTER TABLE parked_messages
        ADD COLUMN resolution text,
        ADD COLUMN resolved_at timestamptz,
        ADD COLUMN resolved_by text,
        ADD COLUMN resolution_reason varchar(500)
    """,
    # An id may come back after its workflow was archived, so it is no key here.
    """
    CREATE TABLE archived_workflows (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        workflow_id uuid NOT NULL,
        definition text NOT NULL,
        version integer NOT NULL,
        owner_id text NOT NULL,
        status workflow_status NOT NULL,
        created_at timestamptz NOT NULL,
        finished_at timestamptz NOT NULL,
        archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        document jsonb NOT NULL
    )
    """,
    "CREATE INDEX archived_workflows_by_workflow ON archived_workflows (workflow_id)",
    # Runs with its owner's rights: recovery may archive what is finished and old, and delete nothing else. A row that
    # anybody works on is passed over. A workflow cannot be finished for longer than it exists, so the index by age
    # finds the candidates.
    """
    CREATE FUNCTION archive_finished(older_than interval, at_most integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
        WITH old AS MATERIALIZED (
            SELECT * FROM workflow_instances w
            WHERE w.status IN ('Completed', 'Cancelled')
                AND w.created_at < clock_timestamp() - older_than AND w.finished_at < clock_timestamp() - older_than
            ORDER BY w.created_at LIMIT at_most FOR UPDATE SKIP LOCKED
        ), kept AS (
            INSERT INTO archived_workflows
                (workflow_id, definition, version, owner_id, status, created_at, finished_at, document)
            SELECT o.id, o.definition, o.version, o.owner_id, o.status, o.created_at, o.finished_at, jsonb_build_object(
                'workflow', to_jsonb(o),
                'checkpoints', (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.seq), '[]')
                    FROM checkpoints c WHERE c.workflow_id = o.id),
                'attempts', (SELECT coalesce(jsonb_agg(to_jsonb(a) ORDER BY a.id), '[]')
                    FROM step_attempts a WHERE a.workflow_id = o.id),
                'recoveries', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.attempted_at), '[]')
                    FROM recovery_attempts r WHERE r.workflow_id = o.id),
                'verdicts', (SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.settled_at), '[]')
                    FROM recovery_verdicts v WHERE v.workflow_id = o.id))
            FROM old o
        ), no_checkpoints AS (
            DELETE FROM checkpoints c USING old o WHERE c.workflow_id = o.id
        ), no_attempts AS (
            DELETE FROM step_attempts a USING old o WHERE a.workflow_id = o.id
        ), no_watches AS (
            DELETE FROM recovery_watches s USING old o, recovery_attempts r
            WHERE r.workflow_id = o.id AND s.recovery_id = r.id
        ), no_verdicts AS (
            DELETE FROM recovery_verdicts v USING old o WHERE v.workflow_id = o.id
        ), no_recoveries AS (
            DELETE FROM recovery_attempts r USING old o WHERE r.workflow_id = o.id
        ), gone AS (
            DELETE FROM workflow_instances w USING old o WHERE w.id = o.id RETURNING 1
        )
        SELECT count(*)::integer FROM gone
    $$
    """,
    "REVOKE ALL ON FUNCTION archive_finished(interval, integer) FROM PUBLIC",
)

DOWN = (
    "DROP FUNCTION archive_finished(interval, integer)",
    "DROP TABLE archived_workflows",
    """
    ALTER TABLE parked_messages
        DROP COLUMN resolution_reason, DROP COLUMN resolved_by, DROP COLUMN resolved_at, DROP COLUMN resolution
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
