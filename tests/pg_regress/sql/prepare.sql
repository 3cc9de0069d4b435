-- erp_prepare: the tables and indexes that a mapping needs.
CREATE SCHEMA prepare;
SET search_path = prepare, public;

-- A dry run tells the statements and makes nothing.
\pset format unaligned
SELECT * FROM erp_prepare(customer_mapping(), dry_run => true);
\pset format aligned
SELECT to_regclass('contact') AS contact, to_regclass('account') AS account;
SELECT count(*) AS bound FROM erp.entity_type;

-- They can be run by hand.
SELECT statement FROM erp_prepare(customer_mapping(), dry_run => true) \gexec
SELECT slug, table_name, on_missing FROM erp.entity_type ORDER BY slug;
SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "account": 2}');
-- There is nothing more to do.
SELECT * FROM erp_prepare(customer_mapping());
SELECT * FROM erp_prepare(customer_mapping(), dry_run => true);

-- Without dry_run, it does the same.
CREATE TABLE by_hand AS
SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_generated, generation_expression
FROM information_schema.columns WHERE table_schema = 'prepare';
CREATE TABLE indexes_by_hand AS SELECT indexdef FROM pg_indexes WHERE schemaname = 'prepare';
DROP TABLE contact, account;
DELETE FROM erp.entity_type;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_generated, generation_expression
FROM information_schema.columns WHERE table_schema = 'prepare' AND table_name IN ('contact', 'account')
EXCEPT SELECT * FROM by_hand;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'prepare' AND tablename IN ('contact', 'account')
EXCEPT SELECT * FROM indexes_by_hand;
\d contact
SELECT * FROM erp_prepare(customer_mapping());
DROP TABLE by_hand, indexes_by_hand;

-- A mapping that needs more: another key of a table that is there and has entities.
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "account": 2}');
\pset format unaligned
SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "contact", "unique_ids": ["name"], "fields": [{"attribute": "name", "field": "name"}]}]}');
-- Relations look entities up by that need not be unique, their stubs are.
SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "contact", "unique_ids": ["name"], "fields": [
    {"attribute": "name", "field": "name"},
    {"attribute": "employer", "relations": {"items": [{"entity_schema": "account", "unique_ids": [{"attribute": "email", "field": "employer"}]}]}}]}]}');
-- The same set, now to be upserted by: a unique index takes the place of the others.
SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "account", "unique_ids": ["email"], "fields": [{"attribute": "email", "field": "email"}]}]}');
\pset format aligned
SELECT indexdef FROM pg_indexes WHERE schemaname = 'prepare' AND tablename = 'account' ORDER BY indexdef;
-- Only the indexes that it made are dropped, not the user's on the same columns.
SELECT erp_create_entity('person', ARRAY['email'], for_upsert => false);
CREATE INDEX my_hash ON person USING hash (email);
CREATE INDEX my_living ON person (email) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX my_vips ON person (email) WHERE attributes @> '{"vip": true}';
SELECT erp_create_entity('person', ARRAY['email']);
SELECT indexdef FROM pg_indexes WHERE schemaname = 'prepare' AND tablename = 'person' ORDER BY indexdef;

-- Keys of several attributes, in any order the same; an expression's relations as far as its text names them.
\pset format unaligned
SELECT * FROM erp_prepare('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["last_name", "first_name"], "fields": [
        {"attribute": "friends", "relations": {"jsonataExpression":
            "friends.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"first_name\", \"constant\": f}, {\"attribute\": \"last_name\", \"constant\": l}]}"}},
        {"attribute": "clubs", "relations": {"jsonataExpression":
            "clubs.{\"entity_schema\": \"club\", \"unique_ids\": [{\"attribute\": \"name\", \"constant\": n}]}"}},
        {"attribute": "others", "relations": {"jsonataExpression": "others"}}
    ]}
]}');
\pset format aligned

-- Duplicates that are there already keep a set from becoming unique: PostgreSQL's own error, and nothing is changed.
INSERT INTO club (id, attributes) SELECT gen_random_uuid(), '{"name": "Chess"}' FROM generate_series(1, 2);
SELECT * FROM failure($$ SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "club", "unique_ids": ["name"], "fields": [{"attribute": "name", "field": "name"}]}]}') $$) \gx
SELECT slug, attributes, is_unique FROM erp.entity_key WHERE slug = 'club';

-- A table that has the name already is never adopted, whatever it is.
CREATE TABLE meter (id int);
SELECT * FROM failure($$ SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "meter", "unique_ids": ["number"], "fields": []}]}') $$) \gx
DROP TABLE meter;
CREATE VIEW meter AS SELECT 1 AS one;
SELECT state, message FROM failure($$ SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "meter", "unique_ids": ["number"], "fields": []}]}') $$);
DROP VIEW meter;
-- One in another schema is not in the way, and no part of what fails is left.
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.meter (id int);
CREATE TABLE reading (id int);
SELECT state, message FROM failure($$ SELECT * FROM erp_prepare('{"entities": [
    {"entity_schema": "meter", "unique_ids": ["number"], "fields": []}, {"entity_schema": "reading", "unique_ids": ["number"], "fields": []}]}') $$);
SELECT slug FROM erp.entity_type WHERE slug IN ('meter', 'reading');
DROP TABLE reading;
SET client_min_messages = warning;
DROP SCHEMA elsewhere CASCADE;
RESET client_min_messages;

SELECT * FROM failure($$ SELECT * FROM erp_prepare(NULL) $$) \gx
SELECT state FROM failure($$ SELECT * FROM erp_prepare('{"entities": [{}]}') $$);
SELECT * FROM erp_prepare('{"version": "2.0", "mapping": {"events": {}}}');
-- A null dry_run is none.
SELECT count(*) > 0 AS prepared FROM erp_prepare('{"entities": [{"entity_schema": "meter", "unique_ids": ["number"], "fields": []}]}', NULL);
SELECT to_regclass('meter') AS meter;

-- The current schema is the one that tables are made in.
SET search_path = nowhere;
SELECT * FROM public.failure($$ SELECT * FROM public.erp_prepare('{"entities": [{"entity_schema": "route", "unique_ids": ["number"], "fields": []}]}') $$) \gx
-- Whoever has a schema of its own, like the user of "$user", makes them there; what is bound stays where it is.
CREATE SCHEMA "Mixed ""Case""";
SET search_path = nowhere, "Mixed ""Case""";
\pset format unaligned
SELECT * FROM public.erp_prepare('{"entities": [{"entity_schema": "route", "unique_ids": ["number"], "fields": []}, {"entity_schema": "meter", "unique_ids": ["serial"], "fields": []}]}');
\pset format aligned
SET search_path = prepare, public;
SELECT slug, table_name FROM erp.entity_type WHERE slug IN ('route', 'meter') ORDER BY slug;
SELECT entity_slug, action FROM erp_apply('{"entities": [{"entity_schema": "route", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "n"}]}]}', 'x', '{"n": 1}');
SELECT number, attributes FROM "Mixed ""Case""".route;

CALL forget('"Mixed ""Case"""');
CALL forget('prepare');
