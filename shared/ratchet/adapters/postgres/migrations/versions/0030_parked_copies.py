"""Which parked messages have a copy in the queue, so that queue and table can be kept the same."""

from alembic import op

revision = "0030"
down_revision = "0020"
branch_labels = None
depends_on = None

UP = (
    # True for all there are: the first look at the queue says which.
    "ALTER TABLE parked_messages ADD COLUMN queued boolean NOT NULL DEFAULT true",
    "CREATE INDEX parked_messages_queued ON parked_messages (id) INCLUDE (resolution) WHERE queued",
    "CREATE INDEX parked_messages_open ON parked_messages (parked_at, id) WHERE resolution IS NULL",
)

DOWN = (
    "DROP INDEX parked_messages_open",
    "DROP INDEX parked_messages_queued",
    "ALTER TABLE parked_messages DROP COLUMN queued",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
