-- Registered tables: which columns are written, which stay, where ids come from, what triggers and keys do.
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
-- A mapping of one entry, whose fields are named like the attributes.
CREATE FUNCTION plain(slug text, unique_ids text[], attributes text[], mode text DEFAULT 'upsert') RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', slug, 'unique_ids', unique_ids, 'mode', mode,
        'fields', (SELECT jsonb_agg(jsonb_build_object('attribute', a, 'field', a)) FROM unnest(attributes) AS a)));
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_number'], columns => '{"customer_number": "customer_no"}', attributes_column => 'data',
    created_at_column => 'created_at', updated_at_column => 'updated_at', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('contract', 'contracts', ARRAY['contract_no'], deleted_at_column => 'deleted_at');
SELECT erp_register_entity('meter', 'meters', ARRAY['meter_no']);
SELECT erp_register_entity('reading', 'readings', ARRAY['meter_no', 'read_at']);
CREATE FUNCTION customer(event jsonb, mode text DEFAULT 'upsert') RETURNS TABLE (entity_id text, action text, unique_identifiers jsonb) LANGUAGE sql
    BEGIN ATOMIC SELECT a.entity_id, a.action, a.unique_identifiers
        FROM erp_apply(plain('customer', '{customer_number}', '{customer_number,name,email,birthday,credit_limit,status,tags,vip,note}', mode), 'Changed', event) AS a; END;
CREATE VIEW shown AS SELECT id, customer_no, name, email, birthday, credit_limit, status, tags, data, deleted_at IS NOT NULL AS deleted FROM customers ORDER BY id;

-- Columns by their own names and by given ones, the rest in jsonb; what is not given has its default, what is null is null.
SELECT * FROM customer('{"customer_number": 1, "name": "Ann", "birthday": "1980-1-2", "credit_limit": "12.5", "tags": ["a"], "vip": true}');
SELECT * FROM customer('{"customer_number": "2", "name": "Bob", "status": "active", "birthday": null, "note": null}');
TABLE shown;
SELECT created_at = updated_at AS untouched FROM customers;
-- Missing is left alone, null is set to null; only what changes is written.
SELECT * FROM customer('{"customer_number": "1", "credit_limit": null, "vip": false}');
TABLE shown;
SELECT attributes FROM erp_find('customer', '{"customer_number": 1}');
-- Unchanged, in any spelling: no row version, no time.
SELECT xmin AS version FROM customers WHERE id = 1 \gset
SELECT * FROM customer('{"customer_number": 1.0, "name": "Ann", "birthday": "Jan 2, 1980", "tags": ["a"], "vip": false}');
SELECT * FROM customer('{"customer_number": 1, "birthday": "1980-01-02T00:00", "tags": "a", "credit_limit": null}');
SELECT xmin = :'version' AS same FROM customers WHERE id = 1;
-- Exactly: 1.10 in jsonb and in numeric without precision is another value than 1.1; numeric(12,2) knows one of them only.
SELECT * FROM customer('{"customer_number": 1, "credit_limit": 1.1, "note": 1.1}');
SELECT * FROM customer('{"customer_number": 1, "credit_limit": 1.10}');
SELECT * FROM customer('{"customer_number": 1, "note": 1.10}');
TABLE shown;
-- Operations on an array column and in jsonb
SELECT state, message FROM failure($$ SELECT customer('{"customer_number": 1, "tags": {"_append": ["a", 2]}, "note": {"_append": "x"}}') $$);
SELECT * FROM customer('{"customer_number": 2, "tags": {"_append": ["a", 2]}, "note": {"_append": "x"}}');
SELECT * FROM customer('{"customer_number": 2, "tags": {"_append_unique": ["2", "b"]}, "note": {"_append_unique": ["x", "y"]}}');
SELECT * FROM customer('{"customer_number": 2, "tags": {"_append_unique": ["2", "b"]}}');
SELECT * FROM customer('{"customer_number": 2, "tags": {"_append_all": []}}');
SELECT * FROM customer('{"customer_number": 1, "tags": {"_set": []}, "note": "y"}');
TABLE shown;
-- The default of the data column holds what is not an attribute of the mapping as well.
UPDATE customers SET data = data || '{"mine": [1]}' WHERE id = 2;
SELECT * FROM customer('{"customer_number": 2, "vip": true}');
SELECT data FROM customers WHERE id = 2;
-- Deleted softly, deleted again, restored; purged, and made anew
SELECT * FROM customer('{"customer_number": 2}', 'delete');
SELECT * FROM customer('{"customer_number": 2}', 'delete');
SELECT deleted_at = updated_at AS at_once FROM customers WHERE id = 2;
SELECT * FROM customer('{"customer_number": 2}');
TABLE shown;
SELECT * FROM customer('{"customer_number": "02"}', 'purge');
SELECT * FROM customer('{"customer_number": "2"}', 'purge');
SELECT * FROM customer('{"customer_number": "2"}', 'purge');
SELECT * FROM customer('{"customer_number": "2", "name": "Bea"}');

-- A partial unique index: the row that counts is the live one; without one the deleted one is restored.
CREATE FUNCTION contract(event jsonb, mode text DEFAULT 'upsert') RETURNS text LANGUAGE sql
    BEGIN ATOMIC SELECT a.action FROM erp_apply(plain('contract', '{contract_no}', '{contract_no,starts}', mode), 'Changed', event) AS a; END;
SELECT contract('{"contract_no": "K1", "starts": "2024-01-01"}');
SELECT contract('{"contract_no": "K1"}', 'delete');
SELECT starts, deleted_at IS NOT NULL AS deleted FROM contracts;
SELECT contract('{"contract_no": "K1"}');
SELECT starts, deleted_at IS NOT NULL AS deleted FROM contracts;
SELECT contract('{"contract_no": "K1"}', 'delete');
INSERT INTO contracts (contract_no, starts) VALUES ('K1', '2025-01-01');
SELECT contract('{"contract_no": "K1", "starts": "2026-01-01"}');
SELECT starts, deleted_at IS NOT NULL AS deleted FROM contracts ORDER BY starts;
SELECT contract('{"contract_no": "K1"}', 'delete');
-- Two that are deleted, and none that lives: which is meant is not known.
SELECT * FROM failure($$ SELECT contract('{"contract_no": "K1"}') $$) \gx
SELECT state FROM failure($$ SELECT contract('{"contract_no": "K1"}', 'delete') $$);
SELECT count(*) FROM contracts;

-- A key of two columns; a batch; the same in other spellings
SELECT action FROM erp_apply(plain('meter', '{meter_no}', '{meter_no,kind}'), 'Changed', '{"meter_no": "m1", "kind": "gas"}');
SELECT event, action, a.unique_identifiers, error ->> 'sqlstate' AS state, error ->> 'message' AS message
FROM erp_apply_batch(plain('reading', '{read_at,meter_no}', '{meter_no,read_at,value}'), 'Changed', ARRAY[
    '{"meter_no": "m1", "read_at": "2024-01-01", "value": 1.50}',
    '{"meter_no": "m9", "read_at": "2024-01-01", "value": 1}',
    '{"meter_no": "m1", "read_at": "2024-01-01T01:00:00+01:00", "value": 1.5}',
    '{"meter_no": "m1", "read_at": "when", "value": 1}',
    '{"meter_no": "m1", "read_at": "2024-01-02", "value": "a"}',
    '{"meter_no": "m1", "read_at": "2024-01-03", "value": 3}',
    '{"meter_no": "m1", "value": 3}',
    '{"meter_no": null, "read_at": "2024-01-03"}',
    '{"meter_no": "m1", "read_at": "2024-01-03", "value": 3}']::jsonb[], 'continue') AS a;
SELECT meter_no, read_at, value FROM readings ORDER BY read_at;

-- A batch is what its events are one after the other.
CREATE TABLE events AS SELECT array_agg(e ORDER BY n) AS list FROM (
    SELECT n, jsonb_build_object('customer_number', 'b' || n % 4, 'name', 'n' || n) || CASE n % 5
        WHEN 0 THEN jsonb_build_object('tags', jsonb_build_object('_append', n), 'vip', n)
        WHEN 1 THEN jsonb_build_object('credit_limit', n || '.50')
        WHEN 2 THEN '{"birthday": "2000-1-1", "tags": null}'
        WHEN 3 THEN '{"status": "nope"}' ELSE '{"email": null, "note": [1]}' END AS e
    FROM generate_series(1, 40) AS n) AS e;
CREATE FUNCTION result() RETURNS TABLE (line jsonb) LANGUAGE sql BEGIN ATOMIC
    SELECT to_jsonb(c) - '{id,created_at,updated_at}'::text[] FROM customers AS c WHERE customer_no LIKE 'b%' ORDER BY customer_no; END;
BEGIN;
CREATE TEMPORARY TABLE as_singles AS
SELECT n, f.action FROM events, unnest(list) WITH ORDINALITY AS e(event, n) CROSS JOIN LATERAL (
    SELECT CASE f.state WHEN '00000' THEN 'ok' ELSE 'failed' END AS action FROM failure(format('SELECT customer(%L)', event)) AS f) AS f;
CREATE TEMPORARY TABLE singles AS SELECT * FROM result();
DELETE FROM customers WHERE customer_no LIKE 'b%';
CREATE TEMPORARY TABLE as_batch AS
SELECT event AS n, CASE b.action WHEN 'failed' THEN 'failed' ELSE 'ok' END AS action, b.action AS what
FROM events, erp_apply_batch(plain('customer', '{customer_number}', '{customer_number,name,email,birthday,credit_limit,status,tags,vip,note}'), 'Changed', list, 'continue') AS b;
SELECT what, count(*) FROM as_batch GROUP BY what ORDER BY what;
SELECT n, action FROM as_batch EXCEPT TABLE as_singles;
TABLE singles EXCEPT SELECT * FROM result();
SELECT count(*) FROM singles;
ROLLBACK;

-- Where ids come from. A natural key: it is the id, and cannot change.
CREATE TABLE product (sku text PRIMARY KEY, ean text UNIQUE, title text);
SELECT erp_register_entity('product', 'product', ARRAY['sku']);
SELECT erp_register_entity('product', 'product', ARRAY['ean']);
SELECT a.entity_id, a.action FROM erp_apply(plain('product', '{sku}', '{sku,ean,title}'), 'Changed', '{"sku": 7, "ean": "400", "title": "Seven"}') AS a;
SELECT a.entity_id, a.action FROM erp_apply(plain('product', '{ean}', '{sku,ean,title}'), 'Changed', '{"ean": 400, "title": "VII"}') AS a;
SELECT * FROM failure($$ SELECT erp_apply(plain('product', '{ean}', '{sku,ean,title}'), 'Changed', '{"ean": 400, "sku": "8"}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('product', '{ean}', '{sku,ean,title}'), 'Changed', '{"ean": 401, "title": "x"}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('product', '{ean}', '{sku,ean,title}'), 'Changed', '{"ean": 401, "sku": null}') $$) \gx
TABLE product;
-- Identity, always and by default; serial; a default that computes; uuids with and without one
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY, k text UNIQUE);
CREATE TABLE by_default (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, k text UNIQUE);
CREATE TABLE serials (id smallserial PRIMARY KEY, k text UNIQUE);
CREATE SEQUENCE numbers;
CREATE TABLE computed (id text PRIMARY KEY DEFAULT 'N-' || nextval('crm.numbers'), k text UNIQUE);
CREATE TABLE uuids (id uuid PRIMARY KEY DEFAULT '00000000-0000-0000-0000-000000000001', k text UNIQUE);
CREATE TABLE bare_uuids (id uuid PRIMARY KEY, k text UNIQUE);
CREATE TABLE bare_ints (id int PRIMARY KEY, k text UNIQUE);
CREATE FUNCTION made(slug text, event jsonb) RETURNS TABLE (id text, action text) LANGUAGE sql
    BEGIN ATOMIC SELECT a.entity_id, a.action FROM erp_apply(plain(slug, '{k}', '{id,k}'), 'Changed', event) AS a; END;
SELECT erp_register_entity(t, t::regclass, '{k}') FROM unnest('{always,by_default,serials,computed,uuids,bare_uuids,bare_ints}'::text[]) AS t;
SELECT t, m.* FROM unnest('{always,by_default,serials,computed,uuids}'::text[]) AS t, made(t, '{"k": "a"}') AS m;
SELECT t, m.* FROM unnest('{always,by_default,serials,computed,uuids}'::text[]) AS t, made(t, '{"k": "a"}') AS m;
SELECT t, m.* FROM unnest('{always,by_default,serials,bare_ints}'::text[]) AS t, made(t, '{"k": "b", "id": "099"}') AS m;
SELECT id::uuid IS NOT NULL AS is_uuid, substr(id, 15, 1) AS version, action FROM made('bare_uuids', '{"k": "a"}');
SELECT * FROM made('bare_uuids', '{"k": "b", "id": "A0EEBC999C0B4EF8BB6D6BB9BD380A11"}');
SELECT * FROM failure($$ SELECT made('bare_ints', '{"k": "c"}') $$) \gx
-- Its default is taken already.
SELECT * FROM failure($$ SELECT made('uuids', '{"k": "b"}') $$) \gx

-- Generated columns are read, not written. A column that must not be null and has no default must be given.
CREATE TABLE item (no int PRIMARY KEY, net numeric NOT NULL, gross numeric GENERATED ALWAYS AS (net * 2) STORED, flag boolean NOT NULL DEFAULT true, counter int GENERATED ALWAYS AS IDENTITY);
SELECT erp_register_entity('item', 'item', ARRAY['no']);
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net}'), 'Changed', '{"no": 1, "net": 2.50}');
SELECT attributes FROM erp_find('item');
SELECT attributes FROM erp_find('item', '{"gross": "5.00"}');
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no,gross}'), 'Changed', '{"no": 1, "gross": 5}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no,gross}'), 'Changed', '{"no": 1}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no}'), 'Changed', '{"no": 2}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no,net,flag}'), 'Changed', '{"no": 1, "flag": null}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no,net,counter}'), 'Changed', '{"no": 1, "counter": 7}') $$) \gx
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net,counter}'), 'Changed', '{"no": 3, "net": 1, "counter": 7}');
TABLE item;
-- An attribute without a column, and no jsonb column for it
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no,net,colour}'), 'Changed', '{"no": 1, "colour": "red"}') $$) \gx
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net,colour}'), 'Changed', '{"no": 1, "net": 3}');
-- Special columns are no attributes.
SELECT action FROM customer('{"customer_number": 1}');
SELECT action FROM erp_apply(plain('customer', '{customer_number}', '{customer_number,deleted_at,created_at,data}'), 'Changed', '{"customer_number": 1, "deleted_at": "2020-01-01", "created_at": "x", "data": [1]}');
SELECT data, deleted_at FROM customers WHERE id = 1;
SELECT action FROM erp_apply(plain('customer', '{customer_number}', '{customer_number,customer_no}'), 'Changed', '{"customer_number": 1, "customer_no": "5"}');
SELECT customer_no, data -> 'customer_no' AS other FROM customers WHERE id = 1;

-- Triggers: BEFORE may change the row, or suppress it; AFTER sees what was written, and only that.
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION before_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.net < 0 THEN RETURN NULL; END IF;
    NEW.net := round(NEW.net);
    RETURN NEW;
END $$;
CREATE FUNCTION after_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen (what) VALUES (concat_ws(' ', TG_OP, coalesce(NEW.no, OLD.no), NEW.net));
    RETURN NULL;
END $$;
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION before_item();
CREATE TRIGGER after AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION after_item();
CREATE TRIGGER of_flag AFTER UPDATE OF flag ON item FOR EACH ROW EXECUTE FUNCTION after_item();
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net}'), 'Changed', '{"no": 5, "net": 2.6}');
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net}'), 'Changed', '{"no": 5, "net": 3}');
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net}'), 'Changed', '{"no": 5, "net": 7}');
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net,flag}'), 'Changed', '{"no": 5, "net": 7, "flag": "off"}');
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net}'), 'Changed', '{"no": 5, "net": -7}');
SELECT action FROM erp_apply(plain('item', '{no}', '{no,net}', 'purge'), 'Changed', '{"no": 5}');
SELECT what FROM seen ORDER BY n;
SELECT * FROM failure($$ SELECT erp_apply(plain('item', '{no}', '{no,net}'), 'Changed', '{"no": 6, "net": -1}') $$) \gx
DROP TRIGGER before ON item;
DROP TRIGGER after ON item;
DROP TRIGGER of_flag ON item;
-- A default that a trigger gives for NOT NULL
CREATE FUNCTION give_net() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.net := coalesce(NEW.net, 1); RETURN NEW; END $$;
CREATE TRIGGER give BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION give_net();
SELECT action FROM erp_apply(plain('item', '{no}', '{no}'), 'Changed', '{"no": 8}');
SELECT * FROM item WHERE no = 8;

SET client_min_messages = warning;
CALL forget('crm');
