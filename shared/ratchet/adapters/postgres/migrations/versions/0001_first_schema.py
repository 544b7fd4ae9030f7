"""The first schema: definitions, instances, checkpoints, attempts, outbox, feeds, recoveries, audit."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "workflow_definitions",
    "workflow_instances",
    "checkpoints",
    "step_attempts",
    "outbox",
    "user_feeds",
    "notifications",
    "recovery_attempts",
    "audit_log",
    "idempotency_keys",
    "parked_messages",
)

STATEMENTS = (
    """
    CREATE TYPE workflow_status AS ENUM
        ('NotStarted', 'InProgress', 'Executing', 'Paused', 'Completed', 'Failed', 'Cancelled')
    """,
    """
    CREATE TABLE workflow_definitions (
        name text NOT NULL,
        version integer NOT NULL,
        steps jsonb NOT NULL,
        fingerprint text NOT NULL,
        recovers_automatically boolean NOT NULL DEFAULT false,
        registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (name, version)
    )
    """,
    # Room on each page for the row's next version keeps the updates of a running workflow "heap only" (no index work).
    """
    CREATE TABLE workflow_instances (
        id uuid PRIMARY KEY,
        definition text NOT NULL,
        version integer NOT NULL,
        owner_id text NOT NULL,
        status workflow_status NOT NULL,
        input jsonb NOT NULL,
        content_hash bytea NOT NULL,
        correlation_id text NOT NULL,
        current_step_index integer NOT NULL DEFAULT 0,
        current_step text,
        waiting_for text,
        pending_inputs jsonb NOT NULL DEFAULT '{}',
        command_id text NOT NULL,
        claim_token uuid,
        claimed_by text,
        lease_until timestamptz,
        retry_count integer NOT NULL DEFAULT 0,
        failed_attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz,
        recoveries_since_progress integer NOT NULL DEFAULT 0,
        generation integer NOT NULL DEFAULT 0,
        checkpoint_seq integer,
        last_seq integer NOT NULL DEFAULT 0,
        last_checkpoint_at timestamptz,
        failure_kind text,
        failure_class text,
        failure_reason varchar(500),
        failed_at timestamptz,
        requires_manual_intervention boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        CONSTRAINT workflow_instances_failed_says_why
            CHECK (status <> 'Failed' OR (failure_reason IS NOT NULL AND failed_at IS NOT NULL)),
        CONSTRAINT workflow_instances_claim_has_lease
            CHECK ((claim_token IS NULL) = (lease_until IS NULL))
    ) WITH (fillfactor = 60)
    """,
    "CREATE INDEX workflow_instances_executing ON workflow_instances (id) WHERE status = 'Executing'",
    """
    CREATE INDEX workflow_instances_moving ON workflow_instances (id)
        WHERE status IN ('NotStarted', 'InProgress')
    """,
    "CREATE INDEX workflow_instances_failed ON workflow_instances (failed_at, id) WHERE status = 'Failed'",
    "CREATE INDEX workflow_instances_by_owner ON workflow_instances (owner_id, created_at DESC, id DESC)",
    "CREATE INDEX workflow_instances_by_age ON workflow_instances (created_at DESC, id DESC)",
    """
    CREATE TABLE checkpoints (
        workflow_id uuid NOT NULL,
        seq integer NOT NULL,
        parent_seq integer,
        step_index integer NOT NULL,
        step_id text NOT NULL,
        attempt integer NOT NULL,
        skipped boolean NOT NULL DEFAULT false,
        state jsonb NOT NULL,
        checksum bytea NOT NULL,
        claim_token uuid,
        executor text,
        started_at timestamptz,
        committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (workflow_id, seq)
    )
    """,
    """
    CREATE TABLE step_attempts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        workflow_id uuid NOT NULL,
        step_index integer NOT NULL,
        step_id text NOT NULL,
        attempt integer NOT NULL,
        kind text NOT NULL,
        error_class text NOT NULL,
        reason varchar(500) NOT NULL,
        correlation_id text NOT NULL,
        claim_token uuid NOT NULL,
        executor text NOT NULL,
        started_at timestamptz NOT NULL,
        finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        next_attempt_at timestamptz
    )
    """,
    "CREATE INDEX step_attempts_by_workflow ON step_attempts (workflow_id, id)",
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id text NOT NULL,
        exchange text NOT NULL,
        routing_key text NOT NULL,
        type text NOT NULL,
        body text NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        correlation_id text NOT NULL,
        delay_ms integer,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE user_feeds (
        feed text PRIMARY KEY,
        newest bigint NOT NULL DEFAULT 0,
        acknowledged bigint NOT NULL DEFAULT 0,
        pruned bigint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE notifications (
        feed text NOT NULL,
        seq bigint NOT NULL,
        event_id text NOT NULL,
        type text NOT NULL,
        workflow_id uuid NOT NULL,
        data jsonb NOT NULL,
        occurred_at timestamptz NOT NULL,
        stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (feed, seq),
        CONSTRAINT notifications_once UNIQUE (feed, event_id)
    )
    """,
    """
    CREATE TABLE recovery_attempts (
        id text PRIMARY KEY,
        workflow_id uuid NOT NULL,
        kind text NOT NULL,
        actor text NOT NULL,
        reason varchar(500),
        outcome text NOT NULL,
        problem text,
        detail varchar(500),
        status workflow_status,
        resumed_from timestamptz,
        resumed_step text,
        checkpoint_seq integer,
        damaged_checkpoints integer[] NOT NULL DEFAULT '{}',
        correlation_id text NOT NULL,
        attempted_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX recovery_attempts_by_workflow ON recovery_attempts (workflow_id, attempted_at)",
    """
    CREATE TABLE audit_log (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        workflow_id uuid,
        actor text NOT NULL,
        action text NOT NULL,
        reason varchar(500),
        before jsonb,
        after jsonb,
        outcome text NOT NULL,
        correlation_id text NOT NULL
    )
    """,
    "CREATE INDEX audit_log_by_workflow ON audit_log (workflow_id, id)",
    """
    CREATE TABLE idempotency_keys (
        principal text NOT NULL,
        key text NOT NULL,
        route text NOT NULL,
        body_hash bytea NOT NULL,
        status integer,
        answer jsonb,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (principal, key)
    )
    """,
    """
    CREATE TABLE parked_messages (
        id uuid PRIMARY KEY,
        message_id text,
        type text,
        exchange text NOT NULL,
        routing_key text NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        correlation_id text,
        body bytea NOT NULL,
        reason varchar(500) NOT NULL,
        parked_by text NOT NULL,
        parked_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX parked_messages_by_age ON parked_messages (parked_at, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP TYPE workflow_status")
