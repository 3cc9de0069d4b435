-- A dump carries the entity tables and their bindings; restored, events are applied as before.
CREATE SCHEMA dump;
SET search_path = dump, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_entity('It''s "odd"', ARRAY['a key', 'id']);
SELECT count(*) FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 1, "name": "Ada", "account": "X"}', '{"id": 2.50, "name": "ä"}']::jsonb[]);
UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'account';
CREATE TABLE before AS SELECT slug, table_name::text, on_missing, created_at FROM erp.entity_type;

SELECT current_database() AS here \gset
CREATE DATABASE regress_restored TEMPLATE template0;
\setenv DUMPED :here
\! pg_dump --no-password "$DUMPED" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null regress_restored
\c regress_restored
SET search_path = dump, public;
SELECT slug, table_name, on_missing FROM erp.entity_type ORDER BY slug;
SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;
SELECT slug, table_name::text, on_missing, created_at FROM erp.entity_type EXCEPT TABLE before;
SELECT customer_number, readable(attributes) AS attributes FROM contact ORDER BY customer_number;
SELECT * FROM erp_prepare(customer_mapping());
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "Ada", "account": "X"}');
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "2.5", "name": "Bob", "account": "not there"}');
SELECT entity_slug, action FROM erp_apply('{"entities": [{"entity_schema": "It''s \"odd\"", "unique_ids": ["id", "a key"], "fields": [
    {"attribute": "id", "constant": 1}, {"attribute": "a key", "constant": 2}]}]}', 'x', '{}');
-- Nothing of the extension itself is in the dump twice.
SELECT count(*) AS extension FROM pg_extension WHERE extname = 'erp_toolkit';

-- The entity tables alone restore where the extension is not: what they generate, core functions generate.
CREATE DATABASE regress_alone TEMPLATE template0;
\! pg_dump --no-password --schema dump --table dump.contact --table dump.account "$DUMPED" | sed '/^CREATE SCHEMA/d' | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null --command 'CREATE SCHEMA dump' --file - regress_alone
\c regress_alone
SELECT count(*) AS extension FROM pg_extension WHERE extname = 'erp_toolkit';
UPDATE dump.contact SET attributes = attributes || '{"customer_number": 7.0}' WHERE customer_number = '1' RETURNING customer_number, links <> '[]' AS has_links;

\c :here
CALL forget('dump');
DROP DATABASE regress_restored;
DROP DATABASE regress_alone;
