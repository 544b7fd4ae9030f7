"""Failed workflows go to the archive after a time of their own, come back from it, and the archive has an age."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_FAILURE = "(document -> 'workflow' ->> '{name}')"

UP = (
    # What is purged leaves its id and content hash behind: an id is taken for good.
    "ALTER TABLE archived_workflows ADD COLUMN purged_at timestamptz",
    "CREATE INDEX archived_workflows_by_age ON archived_workflows (archived_at) WHERE purged_at IS NULL",
    """
    CREATE INDEX archived_workflows_failed ON archived_workflows (finished_at, workflow_id)
        WHERE status = 'Failed' AND purged_at IS NULL
    """,
    # Takes over from `archive_finished`, which stays for services that are not updated yet. Of the failed ones, only
    # those that were looked after.
    """
    CREATE FUNCTION archive_old(finished interval, failed interval, at_most integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
        WITH ended AS MATERIALIZED (
            SELECT * FROM workflow_instances w
            WHERE w.status IN ('Completed', 'Cancelled')
                AND w.created_at < clock_timestamp() - finished AND w.finished_at < clock_timestamp() - finished
            ORDER BY w.created_at LIMIT at_most FOR UPDATE SKIP LOCKED
        ), failing AS MATERIALIZED (
            SELECT * FROM workflow_instances w
            WHERE w.status = 'Failed' AND w.requires_manual_intervention AND w.failed_at < clock_timestamp() - failed
            ORDER BY w.failed_at LIMIT at_most FOR UPDATE SKIP LOCKED
        ), old AS MATERIALIZED (
            SELECT * FROM ended UNION ALL SELECT * FROM failing
        ), kept AS (
            INSERT INTO archived_workflows
                (workflow_id, definition, version, owner_id, status, created_at, finished_at, document)
            SELECT o.id, o.definition, o.version, o.owner_id, o.status, o.created_at,
                CASE WHEN o.status = 'Failed' THEN o.failed_at ELSE o.finished_at END, jsonb_build_object(
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
    # The columns that the document has: those added since get their defaults.
    """
    CREATE FUNCTION bring_back_archived(wanted uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DECLARE
        kept archived_workflows%ROWTYPE;
        part text;
        target text;
        rows jsonb;
        names text;
    BEGIN
        SELECT * INTO kept FROM archived_workflows
        WHERE workflow_id = wanted AND purged_at IS NULL ORDER BY id DESC LIMIT 1 FOR UPDATE;
        IF NOT FOUND OR EXISTS (SELECT FROM workflow_instances WHERE id = wanted) THEN
            RETURN false;
        END IF;
        FOR part, target IN VALUES ('workflow', 'workflow_instances'), ('checkpoints', 'checkpoints'),
            ('attempts', 'step_attempts'), ('recoveries', 'recovery_attempts'), ('verdicts', 'recovery_verdicts')
        LOOP
            rows := kept.document -> part;
            IF jsonb_typeof(rows) = 'object' THEN
                rows := jsonb_build_array(rows);
            END IF;
            SELECT string_agg(quote_ident(a.attname), ', ') INTO names FROM pg_attribute a
            WHERE a.attrelid = target::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                AND rows -> 0 ? a.attname;
            CONTINUE WHEN names IS NULL;
            EXECUTE format('INSERT INTO %1$I (%2$s) OVERRIDING SYSTEM VALUE'
                ' SELECT %2$s FROM jsonb_populate_recordset(NULL::%1$I, $1)', target, names) USING rows;
        END LOOP;
        DELETE FROM archived_workflows WHERE id = kept.id;
        RETURN true;
    END $$
    """,
    """
    CREATE FUNCTION purge_archive(older_than interval, at_most integer)
    RETURNS TABLE (purged_id uuid, was_definition text, was_version integer, was_status text, was_archived timestamptz)
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
        WITH old AS MATERIALIZED (
            SELECT id FROM archived_workflows
            WHERE purged_at IS NULL AND archived_at < clock_timestamp() - older_than
            ORDER BY archived_at LIMIT at_most FOR UPDATE SKIP LOCKED
        )
        UPDATE archived_workflows a SET purged_at = clock_timestamp(), owner_id = '',
            document = jsonb_build_object(
                'workflow', jsonb_build_object('content_hash', document -> 'workflow' -> 'content_hash'))
        FROM old WHERE a.id = old.id
        RETURNING a.workflow_id, a.definition, a.version, a.status::text, a.archived_at
    $$
    """,
    f"""
    CREATE VIEW archived_failures AS
    SELECT workflow_id AS id, definition, version, owner_id, status, created_at, finished_at AS failed_at, archived_at,
        {_FAILURE.format(name="current_step")} AS current_step,
        {_FAILURE.format(name="retry_count")}::integer AS retry_count,
        {_FAILURE.format(name="failure_kind")} AS failure_kind,
        {_FAILURE.format(name="failure_class")} AS failure_class,
        {_FAILURE.format(name="failure_reason")}::varchar(500) AS failure_reason,
        {_FAILURE.format(name="requires_manual_intervention")}::boolean AS requires_manual_intervention,
        {_FAILURE.format(name="waiting_for")} AS waiting_for,
        {_FAILURE.format(name="next_attempt_at")}::timestamptz AS next_attempt_at,
        {_FAILURE.format(name="last_checkpoint_at")}::timestamptz AS last_checkpoint_at,
        {_FAILURE.format(name="updated_at")}::timestamptz AS updated_at,
        {_FAILURE.format(name="finished_at")}::timestamptz AS finished_at,
        {_FAILURE.format(name="correlation_id")} AS correlation_id,
        {_FAILURE.format(name="failure_fingerprint")} AS failure_fingerprint
    FROM archived_workflows WHERE status = 'Failed' AND purged_at IS NULL
    """,
    "REVOKE ALL ON FUNCTION archive_old(interval, interval, integer) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION bring_back_archived(uuid) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION purge_archive(interval, integer) FROM PUBLIC",
)

DOWN = (
    "DROP VIEW archived_failures",
    "DROP FUNCTION purge_archive(interval, integer)",
    "DROP FUNCTION bring_back_archived(uuid)",
    "DROP FUNCTION archive_old(interval, interval, integer)",
    "DROP INDEX archived_workflows_failed",
    "DROP INDEX archived_workflows_by_age",
    "ALTER TABLE archived_workflows DROP COLUMN purged_at",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
