-- Registered tables: reverse look-ups by index; types that are renamed.
CREATE SCHEMA tables_links;
SET search_path = tables_links, public;
CREATE TABLE houses (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, data jsonb, deleted_at timestamptz);
CREATE TABLE doors (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, house_id int REFERENCES houses, data jsonb, deleted_at timestamptz);
INSERT INTO houses (no) SELECT 'h' || n FROM generate_series(1, 20000) AS n;
INSERT INTO doors (no, house_id) SELECT 'd' || n, n FROM generate_series(1, 20000) AS n;
CREATE INDEX ON doors (house_id);
CREATE INDEX ON doors USING gin (erp._links(data));
CREATE INDEX ON houses USING gin (erp._links(data));
SELECT erp_register_entity('house', 'houses', '{no}', attributes_column => 'data', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('door', 'doors', '{no}', attributes_column => 'data', deleted_at_column => 'deleted_at',
    relations => '{"house": {"column": "house_id", "entity_schema": "house"}}');
CREATE FUNCTION house(doors jsonb) RETURNS jsonb LANGUAGE sql RETURN changed(
    '{"entity_schema": "house", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}]}',
    jsonb_build_object('entity_schema', 'door', 'unique_ids', '["no"]'::jsonb, 'mode', 'upsert-prune-scope-delete', 'jsonataExpression', 'doors.{"no": $}',
        'scope', '{"scope_mode": "relations", "schema": "house", "unique_ids": [{"attribute": "no", "field": "no"}]}'::jsonb, 'fields', doors));
-- By the foreign key, and by a relation in jsonb
SELECT entity_slug, action, unique_identifiers FROM erp_apply(changed('{"entity_schema": "door", "unique_ids": ["no"], "fields": [
    {"attribute": "no", "field": "no"}, {"attribute": "backs", "relations": {"items": [{"entity_schema": "house", "unique_ids": [{"attribute": "no", "field": "house"}]}]}}]}'),
    'Changed', '{"no": "d8", "house": "h7"}');
CREATE VIEW scans AS SELECT sum(seq_scan) AS scans FROM pg_stat_xact_user_tables WHERE relid IN ('doors'::regclass, 'houses'::regclass);
BEGIN;
SELECT scans AS before FROM scans \gset
SELECT entity_slug, action, unique_identifiers FROM erp_apply(house('[{"attribute": "no", "field": "no"}]'), 'Changed', '{"no": "h7", "doors": ["d9"]}');
SELECT scans - :before AS scans FROM scans;
COMMIT;
-- A purge, which takes the relation out; the foreign key would refuse it.
UPDATE doors SET house_id = NULL WHERE no = 'd7';
BEGIN;
SELECT scans AS before FROM scans \gset
SELECT entity_slug, action FROM erp_apply(changed('{"entity_schema": "house", "unique_ids": ["no"], "mode": "purge", "fields": [{"attribute": "no", "field": "no"}]}'), 'Changed', '{"no": "h7"}');
SELECT scans - :before AS scans FROM scans;
COMMIT;
SELECT no, data FROM doors WHERE data IS NOT NULL;

-- A type that gets another name
CREATE TYPE colour AS ENUM ('red', 'green');
ALTER TABLE doors ADD COLUMN colour colour;
CREATE FUNCTION door() RETURNS jsonb LANGUAGE sql RETURN changed('{"entity_schema": "door", "unique_ids": ["no"], "fields": [
    {"attribute": "no", "field": "no"}, {"attribute": "colour", "field": "colour"}, {"attribute": "note", "field": "note"}]}');
SELECT action FROM erp_apply(door(), 'Changed', '{"no": "d1", "colour": "red"}');
ALTER TYPE colour RENAME TO paint;
SELECT action FROM erp_apply(door(), 'Changed', '{"no": "d1", "colour": "green", "note": "another set of columns"}');
SELECT no, colour, data FROM doors WHERE no = 'd1';
CALL forget('tables_links');
