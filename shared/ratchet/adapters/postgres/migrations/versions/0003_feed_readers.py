"""Who has read a feed how far: the staff feed has many readers, so the position belongs to the reader."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE feed_readers (
            feed text NOT NULL,
            reader text NOT NULL,
            acknowledged bigint,
            muted text[] NOT NULL DEFAULT '{}',
            PRIMARY KEY (feed, reader)
        )
        """
    )
    op.execute("ALTER TABLE user_feeds DROP COLUMN acknowledged")


def downgrade() -> None:
    op.execute("ALTER TABLE user_feeds ADD COLUMN acknowledged bigint NOT NULL DEFAULT 0")
    op.execute("DROP TABLE feed_readers")
