-- What roles may do in integrations, by what erp_grant gives them.
CREATE SCHEMA grants;
SET search_path = grants, public;
\set VERBOSITY terse
\set ECHO none
SELECT erp_prepare(customer_mapping()) \g /dev/null
SELECT erp_create_integration('crm') \g /dev/null
SELECT erp_set_use_case('crm/customers', customer_mapping(), settings => '{"history": "full"}') \g /dev/null
CREATE ROLE regress_sender;
CREATE ROLE regress_runner;
CREATE ROLE regress_auditor;
CREATE ROLE regress_operator;
CREATE ROLE regress_author;
CREATE ROLE regress_nobody;
GRANT USAGE ON SCHEMA grants TO PUBLIC;
GRANT SELECT, INSERT, UPDATE ON contact, account TO regress_runner, regress_operator;
-- What each of the roles comes to with a statement.
CREATE FUNCTION may(statement text) RETURNS TABLE (role text, outcome text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH role IN ARRAY ARRAY['nobody', 'sender', 'runner', 'auditor', 'operator', 'author'] LOOP
        BEGIN
            EXECUTE format('SET LOCAL ROLE regress_%s', role);
            EXECUTE statement;
            outcome := 'yes';
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
        EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
            NULL;
        WHEN OTHERS THEN
            outcome := concat_ws(' ', SQLSTATE, SQLERRM);
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
\set ECHO all
SELECT erp_grant(right_name, role) FROM (VALUES
    ('sender', 'regress_sender'), ('runner', 'regress_runner'), ('auditor', 'regress_auditor'),
    ('operator', 'regress_operator'), ('author', 'regress_author')) AS g(right_name, role);
SELECT * FROM failure('SELECT erp_grant(''root'', ''regress_sender'')');
SELECT * FROM failure('SELECT erp_grant(''sender'', ''regress_no_such_role'')');
SELECT * FROM failure('SELECT erp_grant(''sender'', NULL)');

\set event '''{"event_name": "Changed", "payload": {"id": 1, "account": "A"}, "deduplication_id": "d"}'''
SELECT * FROM may('SELECT erp_enqueue(''crm/customers'', ''{"event_name": "Changed", "payload": {"id": 1}, "deduplication_id": "d"}'')');
SELECT * FROM may('SELECT erp_ingest(''crm/customers'', ''{"event_name": "Changed", "payload": {"id": 1}, "deduplication_id": "d"}'')');
SELECT * FROM may('SELECT erp_trace_add(''order-1'', ''sap.export'')');
SELECT erp_enqueue('crm/customers', :event) > 0 AS enqueued;
SELECT * FROM may('SELECT erp_process()');
SELECT * FROM may('SELECT payload FROM erp.event');
SELECT * FROM may('SELECT before FROM erp.history');
SELECT * FROM may('SELECT configuration FROM erp.use_case_version');
SELECT * FROM may('SELECT erp_disable(''crm'')');
SELECT * FROM may('SELECT erp_skip(ARRAY(SELECT event FROM erp.inbox))');
SELECT * FROM may('SELECT erp_replay(NULL, ARRAY(SELECT event FROM erp.inbox))');
SELECT * FROM may('SELECT erp_set_use_case(''crm/customers'', ''{"entities": []}'')');
SELECT * FROM may('SELECT erp_set_integration(''crm'', ''CRM'')');
SELECT * FROM may('SELECT erp_drop_use_case(''crm/customers'', cascade => true)');

-- An event whose entities the role may not write fails as any statement would; it stays in the inbox.
REVOKE INSERT ON account FROM regress_runner;
SET ROLE regress_runner;
SELECT * FROM erp_process();
RESET ROLE;
SELECT i.attempts, f.sqlstate, f.message FROM erp.inbox AS i JOIN erp.failure AS f ON f.event = i.event;
GRANT INSERT ON account TO regress_runner;
SELECT erp_retry();

-- Who runs events leaves history that is true, and can make none up, change or remove it.
SET ROLE regress_runner;
SELECT * FROM erp_process();
INSERT INTO erp.history (entity_slug, entity_id, action, event, run, changed_by, is_full) VALUES ('contact', '1', 'updated', 1, 1, 'me', true);
UPDATE erp.history SET changed_by = 'nobody';
DELETE FROM erp.history;
UPDATE erp.event SET payload = '1';
RESET ROLE;
SELECT entity_slug, action, changed_by, before, readable(after) AS after FROM erp.history ORDER BY id;
-- Nor by way of names of its own: the rows are written by the owner.
CREATE SCHEMA planted AUTHORIZATION regress_runner;
SET ROLE regress_runner;
SET search_path = planted, pg_catalog, grants, public;
CREATE FUNCTION planted.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE FUNCTION planted.differs(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE OPERATOR planted.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = planted.differs);
CREATE FUNCTION planted.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE FUNCTION planted.cardinality(anyarray) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE FUNCTION planted.greater(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE OPERATOR planted.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = planted.greater);
SELECT entity_slug, action FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 2, "account": "A"}}');
SELECT erp_enqueue('crm/customers', '{"event_name": "Changed", "payload": {"id": 3, "account": "A"}}') IS NOT NULL AS enqueued;
SELECT * FROM erp_process();
RESET ROLE;
SET search_path = grants, public;
SELECT count(*) FROM erp.history;

-- Removing what is old: others are refused.
SELECT 'CALL erp_maintain();' AS maintain \gset
SET ROLE regress_runner;
:maintain
SET ROLE regress_auditor;
:maintain
SET ROLE regress_operator;
:maintain
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA planted CASCADE;
SELECT erp_drop_integration('crm', cascade => true);
TRUNCATE erp.event, erp.inbox, erp.outcome, erp.run, erp.failure, erp.history;
CALL forget('grants');
DROP OWNED BY regress_sender, regress_runner, regress_auditor, regress_operator, regress_author;
DROP ROLE regress_sender, regress_runner, regress_auditor, regress_operator, regress_author, regress_nobody;
