-- The entity tables are the user's: their constraints, triggers and columns count, and their errors come through unchanged.
CREATE SCHEMA apply_tables;
SET search_path = apply_tables, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());

ALTER TABLE contact ADD CONSTRAINT name_is_text CHECK (jsonb_typeof(attributes -> 'name') <> 'number');
CREATE FUNCTION constraint_of(statement text, OUT state text, OUT message text, OUT schema_name text, OUT table_name text, OUT constraint_name text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, schema_name = SCHEMA_NAME, table_name = TABLE_NAME, constraint_name = CONSTRAINT_NAME;
END
$$;
SELECT * FROM constraint_of($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": 5}') $$) \gx

-- A unique index of the user's own
CREATE UNIQUE INDEX one_name ON contact ((attributes ->> 'name'));
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "Ada"}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 2, "name": "Ada"}') $$) \gx
SELECT * FROM constraint_of($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 2, "name": "Ada"}') $$) \gx
DROP INDEX one_name;

-- A trigger that refuses, with its own words; one that adds; one that is silent
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.attributes ->> 'name' = 'refused' THEN
        RAISE EXCEPTION 'no % in %', NEW.attributes ->> 'name', TG_TABLE_NAME USING ERRCODE = 'XX123', DETAIL = 'the detail', HINT = 'the hint', COLUMN = 'attributes', CONSTRAINT = 'mine';
    ELSIF NEW.attributes ->> 'name' = 'silent' THEN
        RETURN NULL;
    END IF;
    NEW.attributes := NEW.attributes || '{"guarded": true}';
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION guard();
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "refused"}') $$) \gx
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 3, "name": "C"}');
SELECT attributes FROM contact WHERE customer_number = '3';
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 3, "name": "C"}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 4, "name": "silent"}') $$) \gx
-- Silent when an entity is changed: the row is as it was.
UPDATE contact SET attributes = attributes || '{"name": "D"}' WHERE customer_number = '3';
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 3, "name": "silent"}');
SELECT attributes FROM contact WHERE customer_number = '3';
-- A trigger that gives the row another key
CREATE OR REPLACE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.attributes := NEW.attributes || '{"customer_number": "of the trigger"}';
    RETURN NEW;
END
$$;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 5}') $$) \gx
DROP TRIGGER guard ON contact;

-- A trigger that applies an event itself
SELECT erp_create_entity('log', ARRAY['of']);
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM erp_apply(changed('{"entity_schema": "log", "unique_ids": ["of"], "fields": [
        {"attribute": "of", "field": "of"}, {"attribute": "names", "jsonataExpression": "{\"_append\": name}"}]}'::jsonb),
        'Changed', jsonb_build_object('of', NEW.customer_number, 'name', NEW.attributes -> 'name'));
    RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER INSERT OR UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION follow();
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 6, "name": "F"}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 6, "name": "G"}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 6, "name": "G"}');
SELECT attributes FROM log;
DROP TRIGGER follow ON contact;

-- Columns of the user's own: defaults, generated ones, NOT NULL with a default
ALTER TABLE contact ADD COLUMN vip boolean NOT NULL DEFAULT false, ADD COLUMN name text GENERATED ALWAYS AS (attributes ->> 'name') STORED;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 7, "name": "H"}');
UPDATE contact SET vip = true WHERE customer_number = '7';
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 7, "name": "I"}');
SELECT name, vip FROM contact WHERE customer_number = '7';
-- A foreign key to an entity
CREATE TABLE note (contact uuid REFERENCES contact ON DELETE RESTRICT, text text);
INSERT INTO note SELECT id, 'a note' FROM contact WHERE customer_number = '7';
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 7, "name": "K"}');

-- Without its unique index a table cannot be upserted to: PostgreSQL says so.
DROP INDEX contact_customer_number_idx;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 9}') $$);
CREATE UNIQUE INDEX ON contact (customer_number);
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 9}');

CALL forget('apply_tables');
