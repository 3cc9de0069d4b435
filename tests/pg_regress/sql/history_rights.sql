-- History is written whoever applies events, read by grant, and made up or changed by nobody.
\set SHOW_CONTEXT never
CREATE SCHEMA rights;
SET search_path = rights, public;
SET client_min_messages = error;
CREATE ROLE regress_runner;
CREATE ROLE regress_auditor;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE FUNCTION may(statement text) RETURNS text LANGUAGE sql RETURN (SELECT concat_ws(': ', state, message) FROM failure(statement));
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('erp', settings => '{"history": "full"}'), erp_set_use_case('erp/c', customer_mapping());
GRANT USAGE ON SCHEMA rights TO regress_runner, regress_auditor, regress_monitor;
GRANT SELECT, INSERT, UPDATE ON contact, account TO regress_runner;
-- What a runner needs
GRANT SELECT ON erp.integration, erp.use_case, erp.use_case_version, erp.use_cases TO regress_runner;
GRANT SELECT, INSERT ON erp.event, erp.run, erp.outcome, erp.failure TO regress_runner;
GRANT DELETE ON erp.outcome TO regress_runner;
GRANT SELECT, INSERT, UPDATE, DELETE ON erp.inbox TO regress_runner;
GRANT SELECT, UPDATE ON erp.lane, erp.inbox_horizon TO regress_runner;
GRANT SELECT, USAGE ON SEQUENCE erp.event_id_seq, erp.run_id_seq, erp.failure_id_seq TO regress_runner;

SET ROLE regress_runner;
SELECT entity_slug, action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "secret"}, "correlation_id": "op"}');
SELECT erp_enqueue('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "changed"}, "correlation_id": "op"}');
SELECT taken, done, failed FROM erp_process();
-- It neither reads nor writes the history.
SELECT statement, may(statement) FROM unnest(ARRAY['SELECT * FROM erp.history', 'INSERT INTO erp.history (entity_slug, entity_id, action, event, run, changed_by, is_full) VALUES (''contact'', ''1'', ''created'', 1, 1, ''boss'', true)',
    'UPDATE erp.history SET changed_by = ''boss''', 'DELETE FROM erp.history', 'TRUNCATE erp.history', 'SELECT nextval(''erp.history_id_seq'')', 'ALTER TABLE erp.history DISABLE TRIGGER ALL',
    'CREATE TRIGGER t BEFORE INSERT ON erp.history FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'CREATE RULE r AS ON INSERT TO erp.history DO INSTEAD NOTHING',
    'SELECT * FROM erp_history(''contact'', ''x'')', 'SELECT * FROM erp_entity_at(''contact'', ''x'', now())', 'SELECT * FROM erp_trace(''op'')', 'SELECT erp_trace_add(''op'', ''x'')']) WITH ORDINALITY AS s(statement, n) ORDER BY n;
RESET ROLE;
SELECT entity_slug, action, changed_by, after ->> 'name' AS name FROM erp.history ORDER BY id;

-- The role that is told is the one that applies: that of a function with its owner's rights, not who calls it.
CREATE FUNCTION as_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT count(*) FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "owner"}}') $$;
SET ROLE regress_runner;
SELECT as_owner();
RESET ROLE;
SELECT changed_by = current_user AS is_owner FROM erp.history ORDER BY id DESC LIMIT 1;

-- An auditor reads it by grant; entities at a time only with the entities' own rights.
GRANT SELECT ON erp.history, erp.event, erp.run, erp.use_case, erp.integration TO regress_auditor;
SELECT id AS contact FROM contact \gset
SET ROLE regress_auditor;
SELECT action, attributes, changed_by = 'regress_runner' AS by_runner FROM erp_history('contact', :'contact');
SELECT may(format('SELECT * FROM erp_entity_at(%L, %L, now())', 'contact', :'contact')), may('SELECT * FROM erp_history(''contact'', unique_identifiers => ''{"customer_number": 1}'')');
RESET ROLE;
GRANT SELECT ON contact TO regress_auditor;
SET ROLE regress_auditor;
SELECT attributes, state, gap FROM erp_entity_at('contact', :'contact', now());
SELECT count(*) FROM erp_history('contact', unique_identifiers => '{"customer_number": 1}');
SELECT may('DELETE FROM erp.history');
RESET ROLE;

-- A member of pg_monitor sees what happened, not what was in it.
SET ROLE regress_monitor;
SELECT step, event_id, use_case, details ->> 'attributes' AS attributes FROM erp_trace('op');
SELECT count(*) > 0 AS steps FROM erp.event_steps;
SELECT count(*) AS unread FROM erp.unread_fields;
SELECT count(*) AS missing FROM erp.missing_fields;
SELECT may('SELECT payload FROM erp.event'), may('SELECT * FROM erp.history'), may('SELECT * FROM erp.field_seen'), may('SELECT erp_sample_fields()'), may('SELECT * FROM erp.span'), may('SELECT * FROM erp._attempts');
RESET ROLE;

CALL forget_integrations();
CALL forget('rights');
DROP OWNED BY regress_runner, regress_auditor, regress_monitor;
DROP ROLE regress_runner, regress_auditor, regress_monitor;
