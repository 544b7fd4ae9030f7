"""A bulk recovery may have a rate of its own."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE bulk_recoveries ADD COLUMN rate integer")


def downgrade() -> None:
    op.execute("ALTER TABLE bulk_recoveries DROP COLUMN rate")
