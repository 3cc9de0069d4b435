-- A slug stays bound to its table, whatever becomes of the table; what is bound is read again when it changes.
CREATE SCHEMA bindings;
SET search_path = bindings, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "account": 1}');

-- Renamed, moved, with a column added: applied as before.
ALTER TABLE contact RENAME TO customers;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "A"}');
ALTER SCHEMA bindings RENAME TO crm;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "B"}');
SET search_path = crm, public;
ALTER TABLE customers ADD COLUMN note text DEFAULT 'mine';
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "C"}');
SELECT customer_number, note, attributes ->> 'name' AS name FROM customers;
SELECT slug, table_name FROM erp.entity_type ORDER BY slug;

-- The name is free for another table, which has nothing to do with the slug.
CREATE TABLE contact (id int);
SELECT * FROM erp_prepare(customer_mapping());
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 2}');
SELECT count(*) AS in_contact FROM contact;
DROP TABLE contact;

-- Moved to another schema
CREATE SCHEMA attic;
ALTER TABLE customers SET SCHEMA attic;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 2, "name": "E"}');
SELECT slug, table_name FROM erp.entity_type ORDER BY slug;
ALTER TABLE attic.customers SET SCHEMA crm;
DROP SCHEMA attic;

-- Dropped: unknown, until it is prepared again.
DROP TABLE customers;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}') $$) \gx
SELECT state, message FROM failure($$ SELECT * FROM erp_find('contact') $$);
SELECT code, path, message FROM erp_validate(customer_mapping());
\pset format unaligned
SELECT split_part(statement, E'\n', 1) AS statement FROM erp_prepare(customer_mapping());
\pset format aligned
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}');
SELECT slug, table_name FROM erp.entity_type ORDER BY slug;

-- A table made in a transaction that is rolled back is forgotten in this session, too.
CREATE FUNCTION meter_mapping(unique_id text) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'meter', 'unique_ids', jsonb_build_array(unique_id),
        'fields', jsonb_build_array(jsonb_build_object('attribute', unique_id, 'field', 'n'))));
BEGIN;
SELECT count(*) AS statements FROM erp_prepare(meter_mapping('number'));
SELECT action FROM erp_apply(meter_mapping('number'), 'Changed', '{"n": 1}');
ROLLBACK;
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(meter_mapping('number'), 'Changed', '{"n": 1}') $$);
SELECT count(*) AS statements FROM erp_prepare(meter_mapping('number'));
SELECT action FROM erp_apply(meter_mapping('number'), 'Changed', '{"n": 1}');
-- So is a key set, in a subtransaction.
BEGIN;
SAVEPOINT before;
SELECT erp_create_entity('meter', ARRAY['serial']);
SELECT action FROM erp_apply(meter_mapping('serial'), 'Changed', '{"n": 1}');
ROLLBACK TO before;
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(meter_mapping('serial'), 'Changed', '{"n": 1}') $$);
SELECT action FROM erp_apply(meter_mapping('number'), 'Changed', '{"n": 1}');
COMMIT;
-- And a table that was dropped in one that is rolled back is there as before.
BEGIN;
DROP TABLE meter;
SELECT state FROM failure($$ SELECT * FROM erp_find('meter') $$);
ROLLBACK;
SELECT attributes FROM erp_find('meter');

-- What is changed in the bindings counts at once.
DELETE FROM erp.entity_type WHERE slug = 'meter';
SELECT state FROM failure($$ SELECT * FROM erp_find('meter') $$);
SELECT count(*) AS keys FROM erp.entity_key WHERE slug = 'meter';
SET client_min_messages = warning;
TRUNCATE erp.entity_type CASCADE;
RESET client_min_messages;
SELECT state FROM failure($$ SELECT * FROM erp_find('account') $$);

-- Columns of other types than the extension gave them are told, not read as what they are not.
SET client_min_messages = warning;
SELECT erp_create_entity('altered', ARRAY['number']);
INSERT INTO altered (id, attributes) VALUES (gen_random_uuid(), '{"number": 1}');
ALTER TABLE altered DROP COLUMN number;
ALTER TABLE altered ADD COLUMN number name GENERATED ALWAYS AS ((attributes ->> 'number')::name) STORED;
CREATE UNIQUE INDEX ON altered (number);
RESET client_min_messages;
SELECT state, message FROM failure($$ SELECT * FROM erp_apply('{"entities": [{"entity_schema": "altered", "unique_ids": ["number"],
    "fields": [{"attribute": "number", "field": "n"}, {"attribute": "x", "field": "x"}]}]}', 'x', '{"n": 2, "x": 2}') $$);
ALTER TABLE altered DROP COLUMN links, DROP COLUMN number, DROP COLUMN attributes;
ALTER TABLE altered ADD COLUMN attributes bigint NOT NULL DEFAULT 4096;
SELECT state, message FROM failure($$ SELECT * FROM erp_find('altered') $$);
ALTER TABLE altered ADD COLUMN number text;
SELECT state, message FROM failure($$ SELECT * FROM erp_find('altered') $$);

-- Settings that a trigger makes are the trigger's, and none of ours show in it.
SELECT erp_create_entity('watched', ARRAY['number']);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('watch.seqscan', current_setting('enable_seqscan'), true);
    RETURN NEW;
END $$;
CREATE TRIGGER watch AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
BEGIN;
SELECT action FROM erp_apply('{"entities": [{"entity_schema": "watched", "unique_ids": ["number"],
    "fields": [{"attribute": "number", "field": "n"}]}]}', 'x', '{"n": 1}');
SELECT current_setting('watch.seqscan') AS seqscan;
COMMIT;

-- A table of the session alone is nothing that others could write to.
SET search_path = pg_temp, public;
SELECT state <> '00000' AS is_refused FROM failure($$ SELECT erp_create_entity('temporary', ARRAY['id']) $$);
SET search_path = public;

CALL forget('crm');
