-- Staging tables: rows that are inserted are events of a use case, put into the inbox or applied at once.
CREATE SCHEMA staging;
SET search_path = staging, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('sap', 'SAP') > 0 AS created;
SELECT erp_set_use_case('sap/customers', customer_mapping());

-- Into the inbox, the row being the payload; the outcome's column is none of it.
CREATE TABLE customer (line int PRIMARY KEY, id text, name text, account text, event_id bigint, "internal note" text);
SELECT erp_attach_staging('customer', 'sap/customers', 'Changed', event_id_column => 'event_id', leave_out => '{line,"internal note"}');
INSERT INTO customer VALUES (1, 'C-1', 'Anna', 'A-1', NULL, 'x'), (2, 'C-2', 'Ben', NULL, NULL, 'y'), (3, 'C-1', 'Anna Schmidt', 'A-1', NULL, 'z');
SELECT c.line, c.event_id = e.id AS is_its_event, e.event_name, e.payload, e.deduplication_id, e.group_key, i.event IS NOT NULL AS waits
FROM customer AS c JOIN erp.event AS e ON e.id = c.event_id LEFT JOIN erp.inbox AS i ON i.event = e.id ORDER BY c.line;
SELECT taken, done, failed FROM erp_process();
SELECT customer_number, attributes ->> 'name' AS name FROM contact ORDER BY 1;
SELECT c.line, o.state FROM customer AS c LEFT JOIN erp.outcome AS o ON o.event = c.event_id ORDER BY c.line;
-- A statement that inserts nothing, and one that is undone
INSERT INTO customer SELECT * FROM customer WHERE false;
BEGIN;
INSERT INTO customer VALUES (4, 'C-4');
ROLLBACK;
SELECT count(*) AS events FROM erp.event;
-- Only what is inserted is an event.
INSERT INTO customer VALUES (3, 'C-3'), (5, 'C-5') ON CONFLICT (line) DO UPDATE SET name = 'changed';
UPDATE customer SET name = 'changed';
DELETE FROM customer WHERE line = 2;
SELECT payload FROM erp.event ORDER BY id DESC LIMIT 2;
-- COPY
COPY customer (line, id, name) FROM stdin;
10	C-10	Zoe
11	C-11	Yve
\.
SELECT line, event_id IS NOT NULL AS has_event FROM customer WHERE line >= 10 ORDER BY 1;
SELECT taken, done, failed FROM erp_process();

-- Many rows, which are taken in parts: each has its own event, in their order.
BEGIN;
INSERT INTO customer (line, id) SELECT n, 'M-' || n FROM generate_series(1000, 26000) AS n;
SELECT count(*) AS rows, count(*) FILTER (WHERE e.payload ->> 'id' = c.id) AS its_own, count(*) FILTER (WHERE c.event_id > c.before) AS in_order
FROM (SELECT event_id, id, lag(event_id, 1, 0) OVER (ORDER BY line) AS before FROM customer WHERE line >= 1000) AS c
JOIN erp.event AS e ON e.id = c.event_id;
ROLLBACK;

-- Every field of an event from a column; the event's name from a column, or the given one where that is null.
CREATE TABLE message (id uuid, name text, correlation int, "group" text, at timestamp, body text);
SELECT erp_attach_staging('message', 'sap/customers', 'Changed', 'body', event_name_column => 'name', deduplication_id_column => 'id',
                          correlation_id_column => 'correlation', group_key_column => 'group', timestamp_column => 'at');
SELECT * FROM erp.stagings ORDER BY staging::text;
INSERT INTO message VALUES
    ('00000000-0000-7000-8000-000000000001', NULL, 7, 'g', '2024-03-01 12:30', '{"id": "C-20"}'),
    ('00000000-0000-7000-8000-000000000002', 'Unknown', NULL, '', NULL, '{"id": "C-21"}'),
    ('00000000-0000-7000-8000-000000000001', NULL, NULL, NULL, NULL, '{"id": "C-22"}'),
    (NULL, NULL, NULL, NULL, NULL, 'no JSON');
SELECT event_name, payload, deduplication_id, correlation_id, group_key, occurred_at, duplicate_of IS NOT NULL AS is_duplicate
FROM erp.event ORDER BY id DESC LIMIT 4;
-- What is no JSON fails when it is applied, not when it is inserted.
SELECT taken, done, failed, dead FROM erp_process();
SELECT e.event_name, f.sqlstate, f.message FROM erp.failure AS f JOIN erp.event AS e ON e.id = f.event ORDER BY e.id;
-- What is no event at all fails the statement.
SELECT * FROM failure($$ INSERT INTO message (body) VALUES ('{}'), (NULL) $$);
SELECT erp_attach_staging('message', 'sap/customers', payload_column => 'body', event_name_column => 'name', deduplication_id_column => 'body');
SELECT * FROM failure($$ INSERT INTO message (body) VALUES ('{}') $$);
SELECT * FROM failure(format('INSERT INTO message (name, body) VALUES (%L, %L)', 'Changed', repeat('x', 1001)));
-- Attached again, the new arguments hold.
SELECT settings FROM erp.stagings WHERE staging = 'message'::regclass;

-- Applied at once, with the outcome in the row
CREATE TABLE applied (no serial, part int, payload json, event_id int, state text, error text, PRIMARY KEY (part, no)) PARTITION BY LIST (part);
CREATE TABLE applied_1 PARTITION OF applied FOR VALUES IN (1);
CREATE TABLE applied_2 PARTITION OF applied FOR VALUES IN (2);
SELECT erp_attach_staging('applied', 'sap/customers', 'Changed', 'payload', mode => 'apply', on_error => 'dead_letter',
                          event_id_column => 'event_id', state_column => 'state', error_column => 'error');
INSERT INTO applied (part, payload) VALUES (2, '{"id": "C-30", "name": "first"}'), (1, '{"name": "nobody"}'), (1, '{"id": "C-30", "name": "last"}');
SELECT a.no, a.part, a.state, a.error, e.payload = a.payload::jsonb AS is_its_event FROM applied AS a JOIN erp.event AS e ON e.id = a.event_id ORDER BY a.no;
SELECT attributes FROM contact WHERE customer_number = 'C-30';
SELECT payload FROM erp.event ORDER BY id DESC LIMIT 3;
SELECT event_id > 0 AS has_event FROM applied WHERE state = 'dead';
SELECT * FROM failure($$ SELECT erp_attach_staging('applied_1', 'sap/customers', 'Changed') $$) \gx
-- With raise, the first event that fails fails the statement.
SELECT erp_attach_staging('applied', 'sap/customers', 'Changed', 'payload', mode => 'apply', deduplication_id_column => 'part', state_column => 'state');
SELECT * FROM failure($$ INSERT INTO applied (part, payload) VALUES (1, '{"id": "C-31"}'), (2, '{}') $$) \gx
INSERT INTO applied (part, payload) VALUES (1, '{"id": "C-31"}'), (1, '{"id": "C-32"}');
SELECT payload, state FROM applied WHERE payload ->> 'id' >= 'C-31' ORDER BY no;
SELECT erp_disable('sap/customers');
SELECT * FROM failure($$ INSERT INTO applied (part, payload) VALUES (2, '{"id": "C-33"}') $$) \gx
SELECT erp_enable('sap/customers');

-- Names that need quotes, types of a user's own as keys
CREATE DOMAIN "Key" AS varchar(20);
CREATE TABLE "Weird ""table""" ("the ""key""" "Key", "Body's" jsonb, "Ereignis-Nr. ä" bigint, PRIMARY KEY ("the ""key""") INCLUDE ("Body's"));
SELECT erp_attach_staging('"Weird ""table"""', 'sap/customers', 'Changed', $$Body's$$, mode => 'apply', event_id_column => 'Ereignis-Nr. ä', deduplication_id_column => 'the "key"');
INSERT INTO "Weird ""table""" VALUES ('O''Neill', '{"id": "C-40"}') RETURNING "the ""key""";
SELECT w."Ereignis-Nr. ä" = e.id AS is_its_event, e.deduplication_id FROM "Weird ""table""" AS w JOIN erp.event AS e ON e.id = w."Ereignis-Nr. ä";
ALTER TABLE "Weird ""table""" RENAME TO renamed;
INSERT INTO renamed VALUES ('2', '{"id": "C-41"}');
SELECT "Ereignis-Nr. ä" IS NOT NULL AS has_event FROM renamed;
DROP TABLE renamed;

-- What is in the trigger is what is dumped.
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'customer'::regclass;

-- What is refused
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE TABLE no_key (payload jsonb, event_id bigint, state date);
SELECT statement, f.*
FROM unnest(ARRAY[
    $$ NULL, 'sap/customers', 'Changed' $$,
    $$ 0, 'sap/customers', 'Changed' $$,
    $$ 'a_view', 'sap/customers', 'Changed' $$,
    $$ 'no_key', 'sap/nobody', 'Changed' $$,
    $$ 'no_key', 'sap/customers' $$,
    $$ 'no_key', 'sap/customers', 'Changed', mode => 'later' $$,
    $$ 'no_key', 'sap/customers', 'Changed', mode => 'apply', on_error => 'continue' $$,
    $$ 'no_key', 'sap/customers', 'Changed', 'body' $$,
    $$ 'no_key', 'sap/customers', 'Changed', leave_out => '{state,nothing}' $$,
    $$ 'no_key', 'sap/customers', 'Changed', 'payload', leave_out => '{state}' $$,
    $$ 'no_key', 'sap/customers', 'Changed', state_column => 'state' $$,
    $$ 'no_key', 'sap/customers', 'Changed', event_id_column => 'event_id' $$,
    $$ 'no_key', 'sap/customers', 'Changed', timestamp_column => 'payload' $$,
    $$ 'applied', 'sap/customers', 'Changed', mode => 'apply', event_id_column => 'payload' $$]) WITH ORDINALITY AS s(statement, n),
     failure(format('SELECT erp_attach_staging(%s)', statement)) AS f
ORDER BY n \gx

-- Rights: who attaches owns the table or may make triggers; who inserts needs the rights of erp_enqueue.
CREATE ROLE regress_loader;
GRANT USAGE ON SCHEMA staging TO regress_loader;
CREATE TABLE inbox (payload jsonb);
GRANT INSERT ON inbox TO regress_loader;
SELECT erp_attach_staging('inbox', 'sap/customers', 'Changed', 'payload');
SET ROLE regress_loader;
SELECT * FROM failure($$ INSERT INTO inbox VALUES ('{"id": "C-50"}') $$);
SELECT * FROM failure($$ SELECT erp_detach_staging('inbox') $$);
SELECT staging, use_case FROM erp.stagings WHERE staging = 'inbox'::regclass;
RESET ROLE;
SELECT count(*) > 0 AS granted FROM erp_grant('sender', 'regress_loader');
SET ROLE regress_loader;
INSERT INTO inbox VALUES ('{"id": "C-50"}');
RESET ROLE;
SELECT received_by, payload FROM erp.event ORDER BY id DESC LIMIT 1;
-- Rows that keep the id of their event take no more than that.
CREATE TABLE numbered (line int PRIMARY KEY, id text, event_id bigint);
GRANT INSERT, SELECT (line), UPDATE (event_id) ON numbered TO regress_loader;
SELECT erp_attach_staging('numbered', 'sap/customers', 'Changed', event_id_column => 'event_id');
SET ROLE regress_loader;
INSERT INTO numbered (line, id) VALUES (1, 'C-52');
RESET ROLE;
SELECT n.line, e.payload FROM numbered AS n JOIN erp.event AS e ON e.id = n.event_id;

-- A use case is not dropped from under its staging tables.
SELECT erp_set_use_case('sap/numbers', customer_mapping()), erp_attach_staging('numbered', 'sap/numbers', 'Changed');
SELECT * FROM failure($$ SELECT erp_drop_use_case('sap/numbers') $$) \gx
SELECT erp_drop_use_case('sap/numbers', cascade => true);
SELECT staging, use_case FROM erp.stagings WHERE staging = 'numbered'::regclass;

-- Detached, rows are no events any more.
SELECT erp_detach_staging('inbox');
INSERT INTO inbox VALUES ('{"id": "C-51"}');
SELECT payload FROM erp.event ORDER BY id DESC LIMIT 1;
SELECT * FROM failure($$ SELECT erp_detach_staging('inbox') $$) \gx

-- erp_apply_trigger takes a use case as well.
CREATE TRIGGER apply AFTER INSERT ON inbox REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION erp_apply_trigger('sap/customers', 'Changed', 'payload', 'dead_letter');
INSERT INTO inbox VALUES ('{"id": "C-60", "name": "use case"}'), ('{"name": "nobody"}');
SELECT attributes FROM contact WHERE customer_number = 'C-60';
SELECT e.event_name, e.payload, o.state FROM erp.event AS e JOIN erp.outcome AS o ON o.event = e.id ORDER BY e.id DESC LIMIT 2;
SELECT * FROM failure($$ INSERT INTO inbox VALUES ('{"id": "C-61"}'), (NULL) $$) \gx

DROP OWNED BY regress_loader;
DROP ROLE regress_loader;
SET client_min_messages = warning;
SELECT erp_drop_integration('sap', cascade => true);
DELETE FROM erp.failure;
DELETE FROM erp.outcome;
DELETE FROM erp.event;
DELETE FROM erp.run;
CALL forget('staging');
