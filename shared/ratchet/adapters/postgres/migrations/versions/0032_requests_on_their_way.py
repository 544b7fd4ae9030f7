"""What was asked for and is not answered yet is found by its workflow and by its age."""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX recovery_requests_by_workflow ON recovery_requests (workflow_id, requested_at)")
    op.execute("CREATE INDEX recovery_requests_by_age ON recovery_requests (requested_at)")


def downgrade() -> None:
    op.execute("DROP INDEX recovery_requests_by_age")
    op.execute("DROP INDEX recovery_requests_by_workflow")
