-- Members of pg_monitor see what monitoring shows, and no payload; others see nothing.
CREATE ROLE regress_watcher IN ROLE pg_monitor;
CREATE ROLE regress_stranger;
CREATE VIEW seen AS
SELECT c.relname::text AS name, role, has_table_privilege(role, c.oid, 'SELECT') AS may
FROM pg_class AS c, unnest('{regress_watcher,regress_stranger}'::name[]) AS role
WHERE c.relnamespace = 'erp'::regnamespace AND c.relkind IN ('r', 'v');
SELECT name FROM seen WHERE role = 'regress_watcher' AND may
EXCEPT SELECT name FROM seen WHERE role = 'regress_stranger' AND may ORDER BY 1;
SELECT name FROM seen WHERE name IN ('event', 'failure', 'run', 'outcome', 'inbox', 'history') AND may;
-- None of them tells a payload.
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'erp' AND data_type = 'jsonb' AND table_name IN (SELECT name FROM seen WHERE role = 'regress_watcher' AND may) ORDER BY 1, 2;

SELECT erp_create_integration('rights') > 0 AS created;
SELECT erp_set_use_case('rights/a', customer_mapping());
SELECT count(*) FROM erp_ingest('rights/a', '{"event_name": "Unknown", "payload": {}}', on_error => 'dead_letter');
SET ROLE regress_watcher;
SELECT use_case, state, reason FROM erp.use_case_status;
SELECT use_case, state FROM erp.event_status;
SELECT use_case, code FROM erp.dead_letters;
SELECT waiting, workers FROM erp.queue_status;
SELECT count(*) FROM erp.failing_events;
SELECT use_case, code, failures FROM erp.recent_errors;
SELECT use_case, code FROM erp.error_rates;
SELECT use_case, version FROM erp.slow_mappings;
SELECT count(*) FROM erp.hourly_activity;
SELECT erp_report() LIKE '%rights/a%' AS told, erp_report('html') LIKE '%rights/a%' AS shown;
-- It watches, and does nothing.
SELECT state, message FROM failure('SELECT erp_retry()');
SELECT state, message FROM failure('SELECT payload FROM erp.event');
SET ROLE regress_stranger;
SELECT state, message FROM failure('SELECT * FROM erp.use_case_status');
SELECT state, message FROM failure('SELECT erp_report()');
SELECT state, message FROM failure($$ SELECT erp_report('html') $$);
RESET ROLE;
SELECT erp_drop_integration('rights', cascade => true);
TRUNCATE erp.event, erp.outcome, erp.failure, erp.run, erp.inbox;
DROP VIEW seen;
DROP ROLE regress_watcher, regress_stranger;
