-- Who may not write a table keeps nobody waiting: such a call holds no lock that others need, also if there is nothing
-- to be refused, or if what is refused is set aside.
SET client_min_messages = warning;
CREATE ROLE regress_runner;
CREATE ROLE regress_viewer;
CREATE ROLE regress_nobody;
CREATE SCHEMA locks;
SET search_path = locks, public;
SELECT count(*) > 0 AS is_prepared FROM erp_prepare(customer_mapping());
GRANT USAGE ON SCHEMA locks TO regress_runner, regress_viewer, regress_nobody;
GRANT SELECT ON contact, account TO regress_runner, regress_viewer;
-- The right to write a column is enough.
GRANT UPDATE (deleted_at) ON contact TO regress_runner;
\set purge '{"entities": [{"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]}]}'
CREATE VIEW held AS SELECT relation::regclass AS table, mode FROM (SELECT classid AS relation, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS l ORDER BY 1, 2;

BEGIN;
SET LOCAL ROLE regress_nobody;
SELECT event, action, error ->> 'sqlstate' AS state FROM erp_apply_batch(:'purge', 'x', ARRAY['{"id": 404}']::jsonb[], 'continue');
SELECT event, action, error ->> 'sqlstate' AS state FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 404, "account": "X"}']::jsonb[], 'continue');
RESET ROLE;
TABLE held;
SET LOCAL ROLE regress_viewer;
SELECT count(*) FROM erp_apply(:'purge', 'x', '{"id": 404}');
SELECT event, action, error ->> 'sqlstate' AS state FROM erp_apply_batch(:'purge', 'x', ARRAY['{"id": 404}']::jsonb[], 'continue');
RESET ROLE;
TABLE held;
ROLLBACK;
BEGIN;
SET LOCAL ROLE regress_runner;
SELECT count(*) FROM erp_apply(:'purge', 'x', '{"id": 404}');
RESET ROLE;
TABLE held;
ROLLBACK;

CALL forget('locks');
DROP ROLE regress_runner, regress_viewer, regress_nobody;
