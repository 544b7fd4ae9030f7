-- What each service may do with each table: this file is the whole truth, whatever was granted before. Run it as the
-- owner of the tables after every migration; safe to repeat. A table that is missing here is open to nobody, and a test
-- holds this file to the schema.
--
-- Nobody may change or delete an audit row, a checkpoint or an attempt: they are history. FOR UPDATE needs the right to
-- update.

BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public
    FROM ratchet_executor, ratchet_recovery, ratchet_notifier, ratchet_admin_api;

-- Every service compares the schema's version with the one it needs.
GRANT SELECT ON alembic_version TO ratchet_executor, ratchet_recovery, ratchet_notifier, ratchet_admin_api;

-- Definitions: executors register what they run; everybody else reads.
GRANT SELECT, INSERT, UPDATE ON workflow_definitions TO ratchet_executor;
GRANT SELECT ON workflow_definitions TO ratchet_recovery, ratchet_notifier, ratchet_admin_api;

-- Executors that are there, and what they can run: each writes its own, and forgets those that are long gone.
GRANT SELECT, INSERT, UPDATE, DELETE ON executors, executor_definitions TO ratchet_executor;
GRANT SELECT ON executors, executor_definitions TO ratchet_recovery, ratchet_admin_api;

-- Workflows: accepted and advanced by executors, moved by recovery where something went wrong, never deleted.
GRANT SELECT, INSERT, UPDATE ON workflow_instances TO ratchet_executor;
GRANT SELECT, UPDATE ON workflow_instances TO ratchet_recovery;
GRANT SELECT ON workflow_instances TO ratchet_notifier, ratchet_admin_api;

-- History: written once.
GRANT SELECT, INSERT ON checkpoints TO ratchet_executor, ratchet_recovery;
GRANT SELECT ON checkpoints TO ratchet_admin_api;
GRANT SELECT, INSERT ON step_attempts TO ratchet_executor, ratchet_recovery;
GRANT SELECT ON step_attempts TO ratchet_admin_api;
GRANT SELECT, INSERT ON recovery_attempts TO ratchet_executor, ratchet_recovery;
GRANT SELECT ON recovery_attempts TO ratchet_admin_api;
GRANT INSERT ON audit_log TO ratchet_executor;
GRANT SELECT, INSERT ON audit_log TO ratchet_recovery, ratchet_admin_api;

-- The audit's chain: whoever writes an entry queues it, recovery alone seals, the API checks.
GRANT INSERT ON audit_unsealed TO ratchet_executor, ratchet_admin_api;
GRANT SELECT, INSERT, DELETE ON audit_unsealed TO ratchet_recovery;
GRANT SELECT ON audit_unsealed TO ratchet_admin_api;
GRANT SELECT, INSERT ON audit_chain TO ratchet_recovery;
GRANT SELECT ON audit_chain TO ratchet_admin_api;

-- Recoveries that are watched, and their verdicts. FOR UPDATE needs the right to update.
GRANT INSERT ON recovery_watches TO ratchet_executor;
GRANT SELECT, INSERT, UPDATE, DELETE ON recovery_watches TO ratchet_recovery;
GRANT SELECT ON recovery_watches TO ratchet_admin_api;
GRANT SELECT, INSERT ON recovery_verdicts TO ratchet_recovery;
GRANT SELECT ON recovery_verdicts TO ratchet_admin_api;
GRANT SELECT, UPDATE ON scan_state TO ratchet_recovery;
GRANT SELECT ON scan_state TO ratchet_admin_api;

-- Bulk recoveries: the API freezes the selection and may cancel, recovery does the work.
GRANT SELECT, UPDATE ON bulk_recoveries, bulk_recovery_items TO ratchet_recovery;
GRANT SELECT, INSERT, UPDATE ON bulk_recoveries, bulk_recovery_items TO ratchet_admin_api;

-- The archive: filled, emptied and given back by functions that do nothing else. Executors look whether an id is taken.
GRANT SELECT ON archived_workflows TO ratchet_executor, ratchet_admin_api;
GRANT SELECT (workflow_id) ON archived_workflows TO ratchet_recovery;
GRANT SELECT ON archived_failures TO ratchet_admin_api;
GRANT EXECUTE ON FUNCTION archive_finished(interval, integer) TO ratchet_recovery;
GRANT EXECUTE ON FUNCTION archive_old(interval, interval, integer) TO ratchet_recovery;
GRANT EXECUTE ON FUNCTION bring_back_archived(uuid) TO ratchet_recovery;
GRANT EXECUTE ON FUNCTION purge_archive(interval, integer) TO ratchet_recovery;

-- Messages on their way out: deleted once the broker has confirmed them.
GRANT SELECT, INSERT, DELETE ON outbox TO ratchet_executor, ratchet_admin_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO ratchet_recovery;

-- Feeds: the notifier's own; the API shows a workflow's events.
GRANT SELECT, INSERT, UPDATE, DELETE ON user_feeds, feed_readers, notifications TO ratchet_notifier;
GRANT SELECT ON user_feeds, notifications TO ratchet_admin_api;

-- Messages that nobody could act on.
GRANT SELECT, INSERT, UPDATE ON parked_messages TO ratchet_executor, ratchet_recovery, ratchet_notifier;
GRANT SELECT, UPDATE, DELETE ON parked_messages TO ratchet_admin_api;

-- What the API promised its callers. Recovery looks whether something was asked for earlier.
GRANT SELECT ON recovery_requests TO ratchet_recovery;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys, accepted_starts, recovery_requests TO ratchet_admin_api;

-- Whether a start was promised: commands wait for it.
GRANT SELECT ON accepted_starts TO ratchet_executor, ratchet_recovery;

COMMIT;
