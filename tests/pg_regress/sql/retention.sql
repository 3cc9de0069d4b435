-- What is old is removed, as long ago as settings say; what waits is not.
CREATE SCHEMA retention;
SET search_path = retention, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('sap') > 0 AS created;
SELECT erp_set_use_case('sap/customers', customer_mapping(), settings => '{"history": "changes"}');
SELECT erp_set_use_case('sap/blocking', customer_mapping(), settings => '{"on_poison": "block"}');

-- An event in each state, 400 days old, 40, and 1
CREATE TABLE made (event bigint, what text, days int);
CREATE FUNCTION enqueue(what text, days int, use_case text, payload jsonb, deduplication_id text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    INSERT INTO made VALUES (erp_enqueue(use_case, jsonb_build_object(
        'event_name', 'Changed', 'payload', payload, 'deduplication_id', deduplication_id, 'group_key', what || days)), what, days);
$$;
SELECT enqueue('done', d, 'sap/customers', jsonb_build_object('id', d), 'done ' || d), enqueue('dead', d, 'sap/customers', '{}'),
       enqueue('skipped', d, 'sap/customers', '{}'), enqueue('duplicate', d, 'sap/customers', '{}', 'done ' || d),
       enqueue('blocked', d, 'sap/blocking', '{}')
FROM unnest(ARRAY[400, 40, 1]) AS d;
SELECT erp_skip(array_agg(event)) AS skipped FROM made WHERE what = 'skipped';
SELECT taken, done, failed, dead FROM erp_process();
SELECT enqueue('waiting', d, 'sap/customers', '{}') FROM unnest(ARRAY[400, 40, 1]) AS d;
CREATE PROCEDURE age() LANGUAGE sql AS $$
    UPDATE erp.event AS e SET received_at = now() - make_interval(days => m.days) FROM made AS m WHERE m.event = e.id;
    UPDATE erp.outcome AS o SET ended_at = now() - make_interval(days => m.days) FROM made AS m WHERE m.event = o.event;
    UPDATE erp.history AS h SET changed_at = now() - make_interval(days => m.days) FROM made AS m WHERE m.event = h.event;
    UPDATE erp.run SET finished_at = now() - interval '400 days';
$$;
CALL age();
CREATE VIEW kept AS
SELECT m.days, string_agg(DISTINCT m.what, ', ' ORDER BY m.what) FILTER (WHERE e.id IS NOT NULL) AS events,
       string_agg(DISTINCT m.what, ', ' ORDER BY m.what) FILTER (WHERE o.event IS NOT NULL) AS outcomes,
       string_agg(DISTINCT m.what, ', ' ORDER BY m.what) FILTER (WHERE f.event IS NOT NULL) AS failures,
       string_agg(DISTINCT m.what, ', ' ORDER BY m.what) FILTER (WHERE i.event IS NOT NULL) AS inbox,
       count(DISTINCT h.id) AS history
FROM made AS m LEFT JOIN erp.event AS e ON e.id = m.event LEFT JOIN erp.outcome AS o ON o.event = m.event
LEFT JOIN erp.failure AS f ON f.event = m.event LEFT JOIN erp.inbox AS i ON i.event = m.event LEFT JOIN erp.history AS h ON h.event = m.event
GROUP BY m.days;
SELECT * FROM kept ORDER BY days;

-- Imports, with what they have set aside
INSERT INTO erp.import (event_name, source_query, batch_size, on_error, updated_at)
SELECT 'Changed', 'SELECT', 1, 'continue', now() - make_interval(days => d) FROM unnest(ARRAY[400, 1]) AS d;
INSERT INTO erp.import_error (import, event, error) SELECT id, 1, '{}' FROM erp.import;

-- Spans, and fields that no longer arrive
INSERT INTO erp.span (correlation_id, name, started_at, added_at) SELECT 'c', 'step', now(), now() - make_interval(days => d) FROM unnest(ARRAY[400, 1]) AS d;
INSERT INTO erp.field_seen (use_case, event_name, names, events, first_seen_at, last_seen_at)
SELECT id, 'Changed', '{gone}', 1, now(), now() - interval '400 days' FROM erp.use_case WHERE slug = 'customers';
-- -1 keeps for ever.
CREATE PROCEDURE forever() LANGUAGE sql AS $$
    SELECT set_config('erp_toolkit.' || s || '_retention', '-1', false)
    FROM unnest('{event,dead_letter,history,run,trace,field,import,job}'::text[]) AS s;
$$;
CALL forever();
CALL erp_maintain();
SELECT count(*) AS fields_gone FROM erp.field_seen WHERE names = '{gone}';
-- The defaults, in many batches
RESET ALL;
SET search_path = retention, public;
CALL erp_maintain(2);
SELECT * FROM kept ORDER BY days;
SELECT count(*) AS imports, (SELECT count(*) FROM erp.import_error) AS errors, (SELECT count(*) FROM erp.span) AS spans,
       (SELECT count(*) FROM erp.field_seen WHERE names = '{gone}') AS fields_gone
FROM erp.import;
-- Nothing is left to do.
CALL erp_maintain();
-- A deduplication id that has gone with its event is new.
SELECT enqueue('again', d, 'sap/customers', '{"id": "again"}', 'done ' || d) FROM unnest(ARRAY[1, 40]) AS d;
SELECT m.days, e.duplicate_of IS NOT NULL AS is_duplicate FROM made AS m JOIN erp.event AS e ON e.id = m.event WHERE m.what = 'again' ORDER BY 1;
SELECT taken, done FROM erp_process(use_case => 'sap/customers');

-- Each setting by itself. What was put back waits, however old it is, and its history stays.
CALL forever();
SELECT erp_replay('sap/customers', ARRAY(SELECT event FROM made WHERE what = 'again'));
SET erp_toolkit.event_retention = 0;
CALL erp_maintain();
SET erp_toolkit.event_retention = -1;
SET erp_toolkit.dead_letter_retention = '39d';
CALL erp_maintain();
SET erp_toolkit.dead_letter_retention = -1;
SET erp_toolkit.history_retention = '2h';
CALL erp_maintain();
SELECT * FROM kept ORDER BY days;
SET erp_toolkit.dead_letter_retention = 0;
SET erp_toolkit.history_retention = 0;
SET erp_toolkit.run_retention = 0;
SET erp_toolkit.import_retention = 0;
CALL erp_maintain();
SELECT * FROM kept ORDER BY days;
SELECT (SELECT count(*) FROM erp.run) AS runs, (SELECT count(*) FROM erp.import_error) AS errors;
-- Events that waited are applied as ever.
SELECT taken, done, failed, dead FROM erp_process();

-- The recycle bin is emptied if a setting says so.
CALL forever();
CALL erp_maintain();
UPDATE contact SET deleted_at = now() - interval '3 days' WHERE customer_number = '40';
UPDATE contact SET deleted_at = now() WHERE customer_number = '1';
SET erp_toolkit.deleted_retention = '1d';
CALL erp_maintain(1);
SELECT customer_number FROM contact ORDER BY 1;
-- What refuses it is told; all else is done before.
CREATE TABLE visit (contact uuid REFERENCES contact);
INSERT INTO visit SELECT id FROM contact WHERE customer_number = '1';
SET erp_toolkit.deleted_retention = 0;
SET erp_toolkit.event_retention = 0;
\set VERBOSITY terse
CALL erp_maintain();
\set VERBOSITY default
SELECT count(*) AS ended FROM erp.outcome WHERE state = 'done';
TRUNCATE visit;

-- It commits, so not in a transaction block; and what is no number of rows
SELECT * FROM failure('CALL erp_maintain()');
SELECT * FROM failure('CALL erp_maintain(0)');

-- Rights: who may delete
CREATE ROLE regress_keeper;
SET ROLE regress_keeper;
\set VERBOSITY terse
CALL erp_maintain();
RESET ROLE;
\o /dev/null
SELECT erp_grant('operator', 'regress_keeper');
\o
SET erp_toolkit.deleted_retention = -1;
SELECT enqueue('late', 1, 'sap/customers', '{"id": "late"}');
SELECT taken, done FROM erp_process();
SET ROLE regress_keeper;
CALL erp_maintain();
RESET ROLE;
\set VERBOSITY default
DROP OWNED BY regress_keeper;
DROP ROLE regress_keeper;

SELECT state, split_part(message, ' (', 1) AS message FROM failure('SET erp_toolkit.event_retention = -2');
SET client_min_messages = warning;
SELECT erp_drop_integration('sap', cascade => true);
DELETE FROM erp.event;
DELETE FROM erp.outcome;
DELETE FROM erp.failure;
DELETE FROM erp.history;
DELETE FROM erp.run;
DELETE FROM erp.span;
DELETE FROM erp.field_seen;
DELETE FROM erp.field_sample;
CALL forget('retention');
