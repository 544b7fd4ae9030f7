"""A failed attempt keeps where in its author's code it came from."""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE step_attempts ADD COLUMN traceback text")


def downgrade() -> None:
    op.execute("ALTER TABLE step_attempts DROP COLUMN traceback")
