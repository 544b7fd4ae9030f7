-- One role per service, and one that owns the schema. Run by a superuser (or a role with CREATEROLE that may alter the
-- database) with psql, before the migrations; safe to repeat, and the way to change a password:
--
--   OWNER_PASSWORD=… EXECUTOR_PASSWORD=… RECOVERY_PASSWORD=… NOTIFIER_PASSWORD=… ADMIN_API_PASSWORD=… \
--     psql --set=ON_ERROR_STOP=1 --file=deploy/postgres/roles.sql ratchet
--
-- Passwords come from the environment, so that they show neither in the process list nor in a file.

\getenv owner_password OWNER_PASSWORD
\getenv executor_password EXECUTOR_PASSWORD
\getenv recovery_password RECOVERY_PASSWORD
\getenv notifier_password NOTIFIER_PASSWORD
\getenv admin_api_password ADMIN_API_PASSWORD

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', wanted.name)
FROM (VALUES ('ratchet_owner'), ('ratchet_executor'), ('ratchet_recovery'), ('ratchet_notifier'), ('ratchet_admin_api'))
    AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)
\gexec

ALTER ROLE ratchet_owner PASSWORD :'owner_password';
ALTER ROLE ratchet_executor PASSWORD :'executor_password';
ALTER ROLE ratchet_recovery PASSWORD :'recovery_password';
ALTER ROLE ratchet_notifier PASSWORD :'notifier_password';
ALTER ROLE ratchet_admin_api PASSWORD :'admin_api_password';

-- A service sets tighter limits for itself; these hold for whoever gets hold of its password.
ALTER ROLE ratchet_executor SET statement_timeout = '30s';
ALTER ROLE ratchet_recovery SET statement_timeout = '30s';
ALTER ROLE ratchet_notifier SET statement_timeout = '30s';
ALTER ROLE ratchet_admin_api SET statement_timeout = '30s';
ALTER ROLE ratchet_executor SET idle_in_transaction_session_timeout = '15s';
ALTER ROLE ratchet_recovery SET idle_in_transaction_session_timeout = '15s';
ALTER ROLE ratchet_notifier SET idle_in_transaction_session_timeout = '15s';
ALTER ROLE ratchet_admin_api SET idle_in_transaction_session_timeout = '15s';

-- No names from a schema that somebody else could put before ours.
ALTER ROLE ratchet_owner SET search_path = public;
ALTER ROLE ratchet_executor SET search_path = public;
ALTER ROLE ratchet_recovery SET search_path = public;
ALTER ROLE ratchet_notifier SET search_path = public;
ALTER ROLE ratchet_admin_api SET search_path = public;

SELECT current_database() AS this_database
\gset
REVOKE ALL ON DATABASE :"this_database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"this_database"
    TO ratchet_owner, ratchet_executor, ratchet_recovery, ratchet_notifier, ratchet_admin_api;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO ratchet_owner;
GRANT USAGE ON SCHEMA public TO ratchet_executor, ratchet_recovery, ratchet_notifier, ratchet_admin_api;
