-- A dump carries the entity tables and their bindings; restored, events are applied as before.
CREATE SCHEMA dump;
SET search_path = dump, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_entity('It''s "odd"', ARRAY['a key', 'id']);
SELECT count(*) FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 1, "name": "Ada", "account": "X"}', '{"id": 2.50, "name": "ä"}']::jsonb[]);
UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'account';
-- So does a dump of registered tables, wherever they are and whatever they are called.
CREATE SCHEMA a_dump;
CREATE TABLE a_dump."Zähler, alt" (no text PRIMARY KEY, at timestamptz, successor text REFERENCES a_dump."Zähler, alt", data jsonb);
CREATE TABLE a_dump.reading (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, meter text REFERENCES a_dump."Zähler, alt");
SELECT erp_register_entity('meter', 'a_dump."Zähler, alt"', ARRAY['number'], columns => '{"number": "no"}', attributes_column => 'data', updated_at_column => 'at',
    relations => '{"successor": {"column": "successor", "entity_schema": "meter"}}');
SELECT erp_register_entity('Ablesung', 'a_dump.reading', ARRAY['no'], on_missing => 'error', relations => '{"of": {"column": "meter", "entity_schema": "meter"}}');
CREATE TABLE before AS SELECT t.*, t.table_name::text AS name FROM erp.entity_type AS t;
ALTER TABLE before DROP COLUMN table_name;
CREATE TABLE columns_before AS TABLE erp.entity_column;
CREATE TABLE keys_before AS TABLE erp.entity_key;

SELECT current_database() AS here \gset
CREATE DATABASE regress_restored TEMPLATE template0;
\setenv DUMPED :here
\! pg_dump --no-password "$DUMPED" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null regress_restored
\c regress_restored
SET search_path = dump, public;
SELECT slug, table_name, on_missing FROM erp.entity_type ORDER BY slug;
SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;
SELECT slug, on_missing, is_managed, id_column, attributes_column, stub_column, created_at_column, updated_at_column, deleted_at_column, created_at, table_name::text FROM erp.entity_type
EXCEPT TABLE before;
TABLE erp.entity_column EXCEPT TABLE columns_before;
TABLE columns_before EXCEPT TABLE erp.entity_column;
TABLE erp.entity_key EXCEPT TABLE keys_before;
SELECT slug, attribute, column_name, relation_schema FROM erp.entity_column ORDER BY slug, attribute;
SELECT customer_number, readable(attributes) AS attributes FROM contact ORDER BY customer_number;
SELECT * FROM erp_prepare(customer_mapping());
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "Ada", "account": "X"}');
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "2.5", "name": "Bob", "account": "not there"}');
SELECT entity_slug, action FROM erp_apply('{"entities": [{"entity_schema": "It''s \"odd\"", "unique_ids": ["id", "a key"], "fields": [
    {"attribute": "id", "constant": 1}, {"attribute": "a key", "constant": 2}]}]}', 'x', '{}');
-- What is registered can be registered again as it is, and given up.
SELECT hint AS registration FROM failure($$ SELECT erp_create_entity('meter', ARRAY['number']) $$) \gset
:registration
SELECT erp_unregister_entity('Ablesung');
-- Nothing of the extension itself is in the dump twice.
SELECT count(*) AS extension FROM pg_extension WHERE extname = 'erp_toolkit';

-- The entity tables alone restore where the extension is not: what they generate, core functions generate.
CREATE DATABASE regress_alone TEMPLATE template0;
\! pg_dump --no-password --schema dump --table dump.contact --table dump.account "$DUMPED" | sed '/^CREATE SCHEMA/d' | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null --command 'CREATE SCHEMA dump' --file - regress_alone
\c regress_alone
SELECT count(*) AS extension FROM pg_extension WHERE extname = 'erp_toolkit';
UPDATE dump.contact SET attributes = attributes || '{"customer_number": 7.0}' WHERE customer_number = '1' RETURNING customer_number, links <> '[]' AS has_links;

\c :here
CALL forget('a_dump');
CALL forget('dump');
DROP DATABASE regress_restored;
DROP DATABASE regress_alone;
