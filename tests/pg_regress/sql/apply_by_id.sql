-- Entities by _id: found by what erp_apply and erp_find call entity_id, never created.
CREATE SCHEMA apply_by_id;
SET search_path = apply_by_id, public;
CREATE TABLE mapping AS SELECT $$ {"version": "2.0", "mapping": {"events": {
    "Contact": {"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "no"}, {"attribute": "name", "field": "name"}, {"attribute": "tags", "field": "tags"}]}]},
    "ById": {"entities": [{"entity_schema": "contact", "unique_ids": ["_id"], "fields": [
        {"attribute": "_id", "field": "id"}, {"attribute": "number", "field": "no"}, {"attribute": "name", "field": "name"}, {"attribute": "tags", "field": "tags"}]}]},
    "Delete": {"entities": [{"entity_schema": "contact", "unique_ids": ["_id"], "mode": "delete", "fields": [{"attribute": "_id", "field": "id"}]}]},
    "Purge": {"entities": [{"entity_schema": "contact", "unique_ids": ["_id"], "mode": "purge", "fields": [{"attribute": "_id", "field": "id"}]}]},
    "Both": {"entities": [
        {"entity_schema": "contact", "unique_ids": ["_id"], "fields": [{"attribute": "_id", "field": "id"}, {"attribute": "name", "field": "name"}]},
        {"entity_schema": "contact", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "no"}, {"attribute": "tags", "field": "tags"}]}]},
    "Contract": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "byNumber", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}]}]}},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "_tags": ["O"], "unique_ids": [{"attribute": "_id", "field": "id"}]}]}},
        {"attribute": "people", "relations": {"operation": "_append_unique", "jsonataExpression":
            "people.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"_id\", \"constant\": $}]}"}}]}]},
    "Sync": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "mode": "upsert-prune-scope-delete",
        "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "_id", "field": "id"}]},
        "jsonataExpression": "contracts", "fields": [{"attribute": "no", "field": "$"}]}]}
}}} $$::jsonb AS document;
CREATE FUNCTION applied(event text, payload jsonb) RETURNS TABLE (slug text, action text, unique_identifiers jsonb) LANGUAGE sql
    AS $$ SELECT a.entity_slug, a.action, readable(a.unique_identifiers) FROM mapping, erp_apply(document, event, payload) AS a $$;
CREATE FUNCTION refused(event text, payload jsonb) RETURNS TABLE (state text, message text, hint text) LANGUAGE sql
    AS $$ SELECT f.state, f.message, f.hint FROM failure(format('SELECT * FROM applied(%L, %L)', event, payload)) AS f $$;
SELECT severity, code, path, message FROM mapping, erp_validate(document) WHERE code <> 'ENTITY_TYPE_UNKNOWN';
SELECT count(*) AS statements FROM mapping, erp_prepare(document);
-- No key set is made for it.
SELECT slug, attributes, is_unique FROM erp.entity_key ORDER BY slug, attributes;
INSERT INTO contact (id, attributes) VALUES
    ('00000000-0000-4000-8000-00000000000a', '{"number": 1, "name": "Ann"}'),
    ('00000000-0000-4000-8000-00000000000b', '{"number": "2"}');
CREATE VIEW contacts AS SELECT CASE WHEN id::text LIKE '00000000-%' THEN right(id::text, 1) ELSE 'made' END AS id, attributes, stub, deleted_at IS NOT NULL AS is_deleted FROM contact ORDER BY id;

-- Found, and patched; the id is no attribute. However the id is written, it is the same.
SELECT * FROM applied('ById', '{"id": "00000000-0000-4000-8000-00000000000a", "name": "Anna", "tags": {"_append": "T"}}');
SELECT * FROM applied('ById', '{"id": "00000000-0000-4000-8000-00000000000A", "name": "Anna"}');
SELECT * FROM applied('ById', '{"id": "{00000000-0000-4000-8000-00000000000a}"}');
SELECT * FROM applied('ById', '{"id": "0000000000004000800000000000000a"}');
SELECT * FROM contacts;
-- An update that says nothing of the identifiers, one that changes them, one that takes them from another
SELECT * FROM applied('ById', '{"id": "00000000-0000-4000-8000-00000000000b", "no": 3, "name": "Ben"}');
SELECT * FROM applied('ById', '{"id": "00000000-0000-4000-8000-00000000000b", "no": 3.0}');
SELECT * FROM applied('Contact', '{"no": "3", "name": "Ben"}');
SELECT state FROM refused('ById', '{"id": "00000000-0000-4000-8000-00000000000b", "no": 1}');
SELECT * FROM contacts;

-- What is not there
SELECT * FROM refused('ById', '{"id": "00000000-0000-4000-8000-00000000000c", "name": "C"}');
SELECT * FROM refused('ById', '{"id": "a"}');
SELECT * FROM refused('ById', '{"id": 7}');
SELECT * FROM refused('ById', '{"id": true}');
SELECT * FROM refused('ById', '{"id": null}');
SELECT * FROM refused('ById', '{"id": ""}');
SELECT * FROM refused('ById', '{}');
SELECT * FROM refused('ById', '{"id": ["00000000-0000-4000-8000-00000000000a"]}');
SELECT * FROM refused('ById', jsonb_build_object('id', repeat('a', 1001)));
-- Nothing is done about it by a delete or a purge.
SELECT * FROM applied('Delete', '{"id": "00000000-0000-4000-8000-00000000000c"}');
SELECT * FROM applied('Purge', '{"id": "not an id"}');
SELECT * FROM refused('Purge', '{}');

-- Deleted, and restored
SELECT * FROM applied('Delete', '{"id": "00000000-0000-4000-8000-00000000000B"}');
SELECT * FROM applied('Delete', '{"id": "00000000-0000-4000-8000-00000000000b"}');
SELECT * FROM applied('ById', '{"id": "00000000-0000-4000-8000-00000000000b", "name": "Ben"}');
-- A stub is completed.
SELECT * FROM applied('Contract', '{"no": 1, "contact": 9}');
SELECT id AS stub FROM contact WHERE stub \gset
SELECT * FROM applied('ById', jsonb_build_object('id', :'stub', 'name', 'Nina'));
SELECT attributes, stub FROM contact WHERE id = :'stub';

-- In relations: neither created, nor completed, nor restored
SELECT * FROM applied('Contract', '{"no": 2, "id": "00000000-0000-4000-8000-00000000000A", "people": ["00000000-0000-4000-8000-00000000000b", "00000000-0000-4000-8000-00000000000B"]}');
SELECT readable(attributes) AS contract FROM contract WHERE no = '2';
SELECT * FROM applied('Contract', '{"no": 2, "id": "00000000-0000-4000-8000-00000000000a", "people": "00000000-0000-4000-8000-00000000000b"}');
UPDATE contact SET deleted_at = now(), stub = true WHERE number = '1';
SELECT * FROM applied('Contract', '{"no": 3, "id": "00000000-0000-4000-8000-00000000000a"}');
SELECT * FROM contacts WHERE id = 'a';
UPDATE contact SET deleted_at = NULL, stub = false;
SELECT * FROM refused('Contract', '{"no": 4, "id": "00000000-0000-4000-8000-00000000000c"}');
SELECT * FROM refused('Contract', '{"no": 4, "people": ["00000000-0000-4000-8000-00000000000a", "x"]}');
-- Of another type
SELECT id AS contract FROM contract WHERE no = '1' \gset
SELECT * FROM refused('Contract', jsonb_build_object('no', 4, 'id', :'contract'));
SELECT * FROM refused('ById', jsonb_build_object('id', :'contract'));
-- An identifier that is missing drops the item, as ever.
SELECT * FROM applied('Contract', '{"no": 4, "id": null, "people": ["", "00000000-0000-4000-8000-00000000000a"]}');
SELECT readable(attributes) AS contract FROM contract WHERE no = '4';
UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'contact';
SELECT * FROM applied('Contract', '{"no": 5, "id": "00000000-0000-4000-8000-00000000000c", "people": ["x", "00000000-0000-4000-8000-00000000000b"]}');
SELECT readable(attributes) AS contract FROM contract WHERE no = '5';
UPDATE erp.entity_type SET on_missing = 'create' WHERE slug = 'contact';

-- One entity, whichever way an event names it
SELECT * FROM applied('Both', '{"id": "00000000-0000-4000-8000-00000000000a", "name": "Both", "no": 1, "tags": ["B"]}');
SELECT * FROM contacts WHERE id = 'a';
SELECT action, before, after FROM mapping, erp_simulate(document, 'Both', '{"id": "00000000-0000-4000-8000-00000000000a", "name": "Sim", "no": 1, "tags": {"_append": "S"}}');
SELECT action, before ->> 'name' AS before, after FROM mapping, erp_simulate(document, 'Purge', '{"id": "00000000-0000-4000-8000-00000000000a"}');
SELECT * FROM failure($$ SELECT erp_simulate(document, 'ById', '{"id": "x"}') FROM mapping $$) \gx

-- In a batch, by the key that an event before it gave
SELECT event, action, readable(b.unique_identifiers) AS unique_identifiers, error ->> 'sqlstate' AS state FROM mapping, erp_apply_batch(document, 'ById', ARRAY[
    '{"id": "00000000-0000-4000-8000-00000000000a", "no": 11, "tags": {"_append": "1"}}', '{"id": "00000000-0000-4000-8000-00000000000c"}', '{"id": "x"}', '{}',
    '{"id": "00000000-0000-4000-8000-00000000000A", "no": 12, "tags": {"_append": "2"}}', '{"id": "00000000-0000-4000-8000-00000000000b", "no": 11}',
    '{"id": "00000000-0000-4000-8000-00000000000b", "no": 12}']::jsonb[], 'continue') AS b;
SELECT * FROM contacts WHERE id IN ('a', 'b');
SELECT * FROM failure($$ SELECT erp_apply_batch(document, 'ById', ARRAY['{"id": "00000000-0000-4000-8000-00000000000a", "name": "no"}', '{"id": "x"}']::jsonb[]) FROM mapping $$) \gx
SELECT event, action FROM mapping, erp_apply_batch(document, 'Purge', ARRAY['{"id": "00000000-0000-4000-8000-00000000000b"}', '{"id": "00000000-0000-4000-8000-00000000000b"}']::jsonb[]) AS b;
-- It took the items that named it with it.
SELECT readable(attributes) AS contract FROM contract WHERE no IN ('2', '5') ORDER BY no;

-- The anchor of a scope
SELECT * FROM applied('Sync', '{"id": "00000000-0000-4000-8000-00000000000A", "contracts": ["2", "7"]}');
SELECT no, deleted_at IS NOT NULL AS is_deleted FROM contract ORDER BY no;
SELECT * FROM applied('Sync', '{"id": "00000000-0000-4000-8000-00000000000c", "contracts": ["2"]}');
SELECT * FROM applied('Sync', '{"id": "x", "contracts": ["2"]}');
SELECT * FROM applied('Sync', '{"contracts": ["2"]}');

-- What a mapping cannot say
SELECT code, path, message FROM erp_validate(changed('{"entity_schema": "contact", "unique_ids": ["_id", "number"], "fields": [
    {"attribute": "_id", "field": "id", "_type": "email"}, {"attribute": "number", "field": "no"}]}',
    '{"entity_schema": "contact", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "no"}, {"attribute": "_id", "field": "id"}]}'));

CALL forget('apply_by_id');

-- Tables of a user's own: ids of other types
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_no'], attributes_column => 'data', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('contract', 'contracts', relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}');
SELECT erp_register_entity('meter', 'meters', relations => '{"contract": {"column": "contract_id", "entity_schema": "contract"}}');
CREATE FUNCTION by_id(slug text, mode text, VARIADIC attributes text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', slug, 'unique_ids', '["_id"]'::jsonb, 'mode', mode, 'fields', (
        SELECT jsonb_agg(jsonb_build_object('attribute', attribute, 'field', attribute)) FROM unnest(attributes || '_id'::text) AS attribute)));
INSERT INTO customers (customer_no, name) VALUES ('C-1', 'Ann'), ('C-2', 'Ben');
SELECT entity_id, action, unique_identifiers FROM erp_apply(by_id('customer', 'upsert', 'name', 'score', 'credit_limit'), 'Changed', '{"_id": 1, "name": "Anna", "score": 7, "credit_limit": 1}');
SELECT entity_id, action, unique_identifiers FROM erp_apply(by_id('customer', 'upsert', 'name', 'score'), 'Changed', '{"_id": "1", "name": "Anna", "score": 7}');
SELECT entity_id, action, unique_identifiers FROM erp_apply(by_id('customer', 'upsert', 'name'), 'Changed', '{"_id": 1.0, "name": "Anna"}');
SELECT id, name, credit_limit, data FROM customers ORDER BY id;
SELECT state, message FROM unnest(ARRAY['99', '"x"', '1.5', '99999999999999999999', '"01"', '" 1"', 'true', 'null', '""', '[1]']) AS id,
    failure(format('SELECT * FROM erp_apply(by_id(''customer'', ''upsert'', ''name''), ''Changed'', %L)', format('{"_id": %s}', id)));
SELECT entity_id, action FROM erp_apply(by_id('customer', 'delete'), 'Changed', '{"_id": 2}');
SELECT entity_id, action FROM erp_apply(by_id('customer', 'upsert', 'name'), 'Changed', '{"_id": 2, "name": "Ben"}');
SELECT id, deleted_at FROM customers ORDER BY id;
-- The key of a table that is an attribute as well
INSERT INTO meters VALUES ('M 1', NULL, 'gas');
SELECT entity_id, action FROM erp_apply(by_id('meter', 'upsert', 'kind'), 'Changed', '{"_id": "M 1", "kind": "water"}');
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(by_id('meter', 'upsert', 'meter_no'), 'Changed', '{"_id": "M 1", "meter_no": "M 2"}') $$);
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(by_id('meter', 'upsert', 'kind'), 'Changed', '{"_id": "M 2", "kind": "water"}') $$);
TABLE meters;
-- Foreign keys
CREATE FUNCTION contract_of(target text) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'contract', 'unique_ids', '["contract_no"]'::jsonb, 'fields', jsonb_build_array(
        '{"attribute": "contract_no", "field": "no"}'::jsonb, jsonb_build_object('attribute', 'customer', 'relations', jsonb_build_object('items', jsonb_build_array(
            jsonb_build_object('entity_schema', target, 'unique_ids', '[{"attribute": "_id", "field": "id"}]'::jsonb)))))));
DROP INDEX contracts_contract_no;
CREATE UNIQUE INDEX ON contracts (contract_no);
SELECT erp_register_entity('contract', 'contracts', ARRAY['contract_no'], relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}');
SELECT action FROM erp_apply(contract_of('customer'), 'Changed', '{"no": "K-1", "id": 2}');
SELECT action FROM erp_apply(contract_of('customer'), 'Changed', '{"no": "K-1", "id": "2"}');
SELECT contract_no, customer_id FROM contracts;
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(contract_of('customer'), 'Changed', '{"no": "K-1", "id": 3}') $$);
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(contract_of('meter'), 'Changed', '{"no": "K-1", "id": "M 1"}') $$);
-- A batch, with ids of both kinds
SELECT event, entity_id, action, error ->> 'code' AS code FROM erp_apply_batch(by_id('customer', 'upsert', 'name', 'tags'), 'Changed', ARRAY[
    '{"_id": 2, "tags": {"_append": "a"}}', '{"_id": 9}', '{"_id": "2", "tags": {"_append": "b"}}', '{"_id": "zwei"}', '{"_id": 1, "name": "Eva"}']::jsonb[], 'continue');
SELECT id, name, tags FROM customers ORDER BY id;
SELECT entity_id, action FROM erp_apply(by_id('customer', 'purge'), 'Changed', '{"_id": 1}');
SELECT id FROM customers;
CALL forget('crm');
