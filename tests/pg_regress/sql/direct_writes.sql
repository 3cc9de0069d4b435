-- Rows are written without statements where these would do nothing else: what else a table has is heeded all the same.
CREATE SCHEMA direct_writes;
SET search_path = direct_writes, public;
SET erp_toolkit.direct_access = on;
SELECT erp_create_entity('contact', ARRAY['number']);
SELECT erp_create_entity('contact', ARRAY['email'], for_upsert => false);
CREATE FUNCTION contact() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "n"}, {"attribute": "name", "field": "name"}, {"attribute": "email", "field": "email"},
        {"attribute": "friend", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "friend"}]}]}}]}'::jsonb);
CREATE FUNCTION did(payload jsonb) RETURNS TABLE (entity jsonb, action text) LANGUAGE sql
BEGIN ATOMIC
    SELECT a.unique_identifiers, a.action FROM erp_apply(contact(), 'Changed', payload) AS a;
END;
CREATE VIEW contacts AS
    SELECT number, email, attributes ->> 'name' AS name, jsonb_array_length(links) AS links, stub, created_at = updated_at AS is_new, deleted_at IS NOT NULL AS is_deleted
    FROM contact ORDER BY number, email;

-- Statistics count what was written; an update that changes no key stays on its page.
BEGIN;
SELECT * FROM did('{"n": 1, "name": "A", "email": "a@x"}');
SELECT n_tup_ins, n_tup_upd FROM pg_stat_xact_user_tables WHERE relid = 'contact'::regclass;
SELECT * FROM did('{"n": 1, "name": "B"}');
SELECT * FROM did('{"n": 1, "name": "C"}');
SELECT n_tup_ins, n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relid = 'contact'::regclass;
SELECT * FROM did('{"n": 2, "name": "D", "email": "d@x", "friend": "a@x"}');
SELECT * FROM did('{"n": 3, "friend": "s@x"}');
SELECT * FROM did('{"n": 4, "email": "s@x"}');
SELECT * FROM contacts;
COMMIT;
-- Large attributes
SELECT action FROM did(jsonb_build_object('n', 5, 'name', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) AS n)));
SELECT action FROM did('{"n": 5, "email": "e@x"}');
SELECT email, length(attributes ->> 'name') AS length, md5(attributes ->> 'name') FROM contact WHERE number = '5';
SELECT action FROM did(jsonb_build_object('n', 5, 'name', repeat('x', 100000)));
SELECT email, length(attributes ->> 'name') AS length FROM contact WHERE number = '5';
-- A key that is too long for its index
SELECT * FROM failure($$ SELECT * FROM did(jsonb_build_object('n', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) AS n))) $$);
SELECT * FROM failure($$ SELECT * FROM did(jsonb_build_object('n', 5, 'email', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) AS n))) $$);
SELECT count(*) FROM contact;

-- Columns of the user's own: null, with a default, generated; one that was there.
ALTER TABLE contact ADD COLUMN note text, ADD COLUMN gone int, ADD COLUMN name text GENERATED ALWAYS AS (upper(attributes ->> 'name')) STORED;
UPDATE contact SET note = 'kept' WHERE number = '1';
ALTER TABLE contact DROP COLUMN gone;
SELECT action FROM did('{"n": 1, "name": "E"}');
SELECT action FROM did('{"n": 6, "name": "F"}');
SELECT number, note, name FROM contact WHERE number IN ('1', '6') ORDER BY number;
ALTER TABLE contact ADD COLUMN rank int DEFAULT 7, ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY;
SELECT action FROM did('{"n": 7}');
SELECT action FROM did('{"n": 1, "name": "G"}');
SELECT number, rank, n IS NOT NULL AS has_n FROM contact WHERE number IN ('1', '7') ORDER BY number;
-- What a generated column calls may become something else.
ALTER TABLE contact DROP COLUMN rank, DROP COLUMN n, DROP COLUMN name;
CREATE FUNCTION shown(attributes jsonb) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'was ' || (attributes ->> 'name');
ALTER TABLE contact ADD COLUMN shown text GENERATED ALWAYS AS (direct_writes.shown(attributes)) STORED;
SELECT action FROM did('{"n": 1, "name": "H"}');
CREATE OR REPLACE FUNCTION shown(attributes jsonb) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'is ' || (attributes ->> 'name');
SELECT action FROM did('{"n": 6, "name": "I"}');
SELECT action FROM did('{"n": 8, "name": "J"}');
SELECT number, shown FROM contact WHERE number IN ('1', '6', '8') ORDER BY number;
ALTER TABLE contact DROP COLUMN shown;
CREATE OR REPLACE FUNCTION shown(attributes jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 1 / (attributes ->> 'divisor')::int; END $$;
ALTER TABLE contact ADD COLUMN shown text GENERATED ALWAYS AS (direct_writes.shown(attributes)) STORED;
CREATE FUNCTION divided(divisor int) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'contact', 'unique_ids', '["number"]'::jsonb, 'fields',
        jsonb_build_array('{"attribute": "number", "field": "n"}'::jsonb, jsonb_build_object('attribute', 'divisor', 'constant', divisor))));
SELECT action FROM erp_apply(divided(1), 'Changed', '{"n": 1}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(divided(0), 'Changed', '{"n": 1}') $$);
SELECT action FROM erp_apply(divided(-1), 'Changed', '{"n": 1}');
SELECT shown FROM contact WHERE number = '1';
CREATE OR REPLACE FUNCTION shown(attributes jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'divided by ' || (attributes ->> 'divisor') $$;
SELECT action FROM erp_apply(divided(2), 'Changed', '{"n": 1}');
SELECT shown FROM contact WHERE number = '1';
ALTER TABLE contact DROP COLUMN shown;
-- Expressions that keep something from one row to the next
CREATE TABLE address (street text, town text);
CREATE TABLE delivery (note text, town text, street text);
ALTER TABLE delivery INHERIT address;
ALTER TABLE contact ADD COLUMN delivery delivery, ADD COLUMN town text GENERATED ALWAYS AS ((delivery::address).town) STORED;
UPDATE contact SET delivery = ROW('ring', 'Cologne', 'Ring 1') WHERE number = '1';
SELECT name, (SELECT action FROM did(jsonb_build_object('n', 1, 'name', name))) FROM (VALUES ('A'), ('B'), ('C')) AS v(name);
SELECT attributes ->> 'name' AS name, town FROM contact WHERE number = '1';
ALTER TABLE contact DROP COLUMN town, DROP COLUMN delivery;
DROP TABLE delivery, address;
-- The table that a row is in
ALTER TABLE contact ADD COLUMN kept_in oid GENERATED ALWAYS AS (tableoid) STORED;
SELECT action FROM did('{"n": 1, "name": "D"}');
SELECT kept_in::regclass FROM contact WHERE number = '1';
ALTER TABLE contact DROP COLUMN kept_in;
-- What a column had that is gone does not stay.
ALTER TABLE contact ADD COLUMN gone text;
UPDATE contact SET gone = repeat('x', 1000) WHERE number = '1';
ALTER TABLE contact DROP COLUMN gone;
SELECT action FROM did('{"n": 1, "name": "F"}');
SELECT pg_column_size(contact) < 500 AS is_small FROM contact WHERE number = '1';
-- A trigger of another table that moves the rows
SELECT erp_create_entity('caller', ARRAY['number']);
CREATE FUNCTION calls() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "caller", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "n"}, {"attribute": "name", "field": "name"}]}'::jsonb,
        '{"entity_schema": "callee", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "n"}, {"attribute": "name", "field": "name"}]}'::jsonb);
SELECT erp_create_entity('callee', ARRAY['number']);
INSERT INTO callee (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', 1000 - n) FROM generate_series(1, 999) AS n;
SELECT entity_slug, action FROM erp_apply(calls(), 'Changed', '{"n": 100}');
CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CLUSTER callee USING callee_number_idx; RETURN NEW; END $$;
CREATE TRIGGER move BEFORE UPDATE ON caller FOR EACH ROW EXECUTE FUNCTION move();
SELECT entity_slug, action FROM erp_apply(calls(), 'Changed', '{"n": 100, "name": "A"}');
SELECT number, attributes ->> 'name' AS name FROM callee WHERE attributes ? 'name';
-- Columns of the extension's with a modifier of the type, or a default
ALTER TABLE callee ALTER COLUMN updated_at TYPE timestamptz(0);
SELECT entity_slug, action FROM erp_apply(calls(), 'Changed', '{"n": 100, "name": "B"}');
SELECT updated_at = date_trunc('second', updated_at) AS is_rounded FROM callee WHERE number = '100';
ALTER TABLE callee ALTER COLUMN updated_at TYPE timestamptz, ALTER COLUMN deleted_at SET DEFAULT '2020-01-01';
SELECT entity_slug, action FROM erp_apply(calls(), 'Changed', '{"n": 2000}');
SELECT deleted_at IS NOT NULL AS is_deleted FROM callee WHERE number = '2000';

-- Constraints: their errors arrive whole.
ALTER TABLE contact ADD CONSTRAINT short_names CHECK (length(attributes ->> 'name') < 10) NOT VALID;
SELECT state, message FROM failure($$ SELECT * FROM did('{"n": 1, "name": "0123456789"}') $$);
SELECT state, message FROM failure($$ SELECT * FROM did('{"n": 9, "name": "0123456789"}') $$);
ALTER TABLE contact DROP CONSTRAINT short_names;
ALTER TABLE contact ADD COLUMN mandatory text;
UPDATE contact SET mandatory = 'm';
ALTER TABLE contact ALTER COLUMN mandatory SET NOT NULL;
SELECT action FROM did('{"n": 1, "name": "K"}');
SELECT state, message FROM failure($$ SELECT * FROM did('{"n": 9}') $$);
ALTER TABLE contact DROP COLUMN mandatory;
CREATE DOMAIN filled AS text DEFAULT 'filled' CHECK (VALUE IS NOT NULL);
ALTER TABLE contact ADD COLUMN filled filled;
SELECT action FROM did('{"n": 9}');
SELECT filled FROM contact WHERE number = '9';
ALTER TABLE contact DROP COLUMN filled;
CREATE UNIQUE INDEX names ON contact ((attributes ->> 'name'));
SELECT * FROM failure($$ SELECT * FROM did('{"n": 9, "name": "K"}') $$);
SELECT * FROM failure($$ SELECT * FROM did('{"n": 10, "name": "K"}') $$);
DROP INDEX names;
ALTER TABLE contact ADD CONSTRAINT notes UNIQUE (note) DEFERRABLE INITIALLY DEFERRED;
SELECT action FROM did('{"n": 10}');
SELECT action FROM did('{"n": 10, "name": "L"}');
ALTER TABLE contact DROP CONSTRAINT notes;
ALTER TABLE contact ADD CONSTRAINT others EXCLUDE USING btree ((attributes ->> 'name') WITH =);
SELECT state, message FROM failure($$ SELECT * FROM did('{"n": 9, "name": "K"}') $$);
ALTER TABLE contact DROP CONSTRAINT others;

-- Tables whose changes cannot be replicated
SELECT action FROM did('{"n": 11}');
ALTER TABLE contact REPLICA IDENTITY NOTHING;
SET client_min_messages = error;
CREATE PUBLICATION direct_writes FOR TABLE contact;
RESET client_min_messages;
SELECT * FROM failure($$ SELECT * FROM did('{"n": 11, "name": "O"}') $$);
DROP PUBLICATION direct_writes;
ALTER TABLE contact REPLICA IDENTITY DEFAULT;
SELECT action FROM did('{"n": 11, "name": "O"}');

-- Read-only transactions, and those that keep one snapshot
BEGIN READ ONLY;
SELECT * FROM failure($$ SELECT * FROM did('{"n": 11, "name": "P"}') $$);
SELECT action FROM did('{"n": 11, "name": "O"}');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT action FROM did('{"n": 11, "name": "P"}');
SELECT action FROM did('{"n": 12, "name": "P"}');
COMMIT;
SELECT * FROM contacts WHERE number IN ('11', '12');

-- Within one transaction: savepoints, cursors that see what was there, what the transaction has made itself
BEGIN;
DECLARE before CURSOR FOR SELECT attributes ->> 'name' AS name FROM contact WHERE number = '11';
SELECT action FROM did('{"n": 11, "name": "Q"}');
SAVEPOINT s;
SELECT action FROM did('{"n": 11, "name": "R"}');
SELECT action FROM did('{"n": 13, "name": "R"}');
SELECT action FROM did('{"n": 13, "name": "S"}');
ROLLBACK TO s;
SELECT action FROM did('{"n": 13, "name": "T"}');
FETCH before;
COMMIT;
SELECT number, attributes ->> 'name' AS name FROM contact WHERE number IN ('11', '13') ORDER BY number;

-- Rules, and tables with children
CREATE RULE noted AS ON DELETE TO contact DO ALSO NOTIFY noted;
SELECT action FROM did('{"n": 11, "name": "U"}');
DROP RULE noted ON contact;
CREATE TABLE special () INHERITS (contact);
SELECT action FROM did('{"n": 11, "name": "V"}');
DROP TABLE special;

-- Every index has every row, once.
CREATE EXTENSION amcheck;
SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE indrelid = 'contact'::regclass AND amname = 'btree' ORDER BY relname;
SELECT * FROM verify_heapam('contact');
SET enable_seqscan = off;
SELECT count(*) FROM contact WHERE links @> (SELECT to_jsonb(id::text) FROM contact WHERE email = 's@x');
RESET enable_seqscan;
DROP EXTENSION amcheck;

CALL forget('direct_writes');
