"""Failures that look alike share a fingerprint: what varies from case to case (ids, numbers) is taken out first."""

from alembic import op

revision = "0020"
down_revision = "0013"
branch_labels = None
depends_on = None

UP = (
    # Ids first, or the digits in them would be taken for numbers.
    r"""
    CREATE FUNCTION failure_pattern(reason text) RETURNS text
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN regexp_replace(regexp_replace(regexp_replace(reason,
            '[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}', '<id>', 'gi'),
            '\m(?=[a-f]*[0-9])[0-9a-f]{8,}\M', '<id>', 'gi'),
            '[0-9]+([.,:][0-9]+)*', '<n>', 'g')
    """,
    # Immutable although convert_to is not marked so: that a database keeps its encoding is all it rests on.
    r"""
    CREATE FUNCTION failure_fingerprint(definition text, step text, class text, reason text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN left(encode(sha256(convert_to(
            concat_ws(E'\x1f', definition, coalesce(step, ''), coalesce(class, ''), failure_pattern(reason)), 'UTF8'
        )), 'hex'), 16)
    """,
    # Generated, so that whoever writes a failure need not know of it. It is empty unless there is a failure, so the
    # updates of a running workflow stay "heap only".
    """
    ALTER TABLE workflow_instances ADD COLUMN failure_fingerprint text
        GENERATED ALWAYS AS (CASE WHEN failure_reason IS NOT NULL
            THEN failure_fingerprint(definition, current_step, failure_class, failure_reason) END) STORED
    """,
    """
    CREATE INDEX workflow_instances_alike ON workflow_instances (failure_fingerprint, failed_at, id)
        WHERE status = 'Failed'
    """,
    """
    CREATE INDEX workflow_instances_paused ON workflow_instances (created_at DESC, id DESC)
        WHERE status = 'Paused'
    """,
)

DOWN = (
    "DROP INDEX workflow_instances_paused",
    "DROP INDEX workflow_instances_alike",
    "ALTER TABLE workflow_instances DROP COLUMN failure_fingerprint",
    "DROP FUNCTION failure_fingerprint(text, text, text, text)",
    "DROP FUNCTION failure_pattern(text)",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
