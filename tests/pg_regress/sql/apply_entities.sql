-- Events that write several entities: of several entries, of one entry's items, the same entity more than once.
CREATE SCHEMA apply_entities;
SET search_path = apply_entities, public;

-- A contract and its meters, as the documentation shows it
CREATE FUNCTION contract_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed(
        '{"entity_schema": "contract", "unique_ids": ["contract_number"], "fields": [
            {"attribute": "contract_number", "field": "contractNumber"},
            {"attribute": "meters", "relations": {"jsonataExpression":
                "meters.{\"entity_schema\": \"meter\", \"unique_ids\": [{\"attribute\": \"meter_number\", \"constant\": meterNumber}]}"}}]}'::jsonb,
        '{"entity_schema": "meter", "unique_ids": ["meter_number"], "jsonataExpression": "meters", "fields": [
            {"attribute": "meter_number", "field": "meterNumber"}, {"attribute": "type", "field": "meterType"}]}'::jsonb);
SELECT count(*) AS statements FROM erp_prepare(contract_mapping());
SELECT entity_slug, action, unique_identifiers FROM erp_apply(contract_mapping(), 'Changed', '{"contractNumber": "K-1", "meters": [
    {"meterNumber": "M-2", "meterType": "E"}, {"meterNumber": "M-1", "meterType": "G"}]}');
SELECT entity_slug, action, unique_identifiers FROM erp_apply(contract_mapping(), 'Changed', '{"contractNumber": "K-1", "meters": [
    {"meterNumber": "M-2", "meterType": "E"}, {"meterNumber": "M-1", "meterType": "G"}, {"meterNumber": "M-3", "meterType": "E"}]}');
SELECT readable(attributes) AS contract FROM contract;
SELECT attributes, stub FROM meter ORDER BY meter_number;
-- One of three changes: that one is written.
CREATE TABLE versions AS SELECT meter_number, xmin AS version, ctid AS place FROM meter;
SELECT action, unique_identifiers FROM erp_apply(contract_mapping(), 'Changed', '{"contractNumber": "K-1", "meters": [
    {"meterNumber": "M-2", "meterType": "E"}, {"meterNumber": "M-1", "meterType": "W"}, {"meterNumber": "M-3", "meterType": "E"}]}');
SELECT meter_number, meter.xmin <> version OR meter.ctid <> place AS is_written FROM meter JOIN versions USING (meter_number) ORDER BY 1;

-- The same entity several times in an event: each update sees what the one before did, and one row is written.
SELECT erp_create_entity('contact', ARRAY['id']);
SELECT erp_create_entity('contact', ARRAY['email']);
SELECT action, unique_identifiers FROM erp_apply('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}, {"attribute": "a", "constant": 1}, {"attribute": "b", "constant": 1}]},
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}, {"attribute": "b", "constant": 2}, {"attribute": "c", "constant": null}]},
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}, {"attribute": "a", "constant": 1}]},
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "jsonataExpression": "$string(id)"}]}
]}', 'x', '{"id": 7}');
SELECT attributes FROM contact;
-- As items, appending
SELECT action FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["id"], "jsonataExpression": "rows",
    "fields": [{"attribute": "id", "field": "id"}, {"attribute": "tags", "field": "tags"}]}]}', 'x', '{"rows": [
    {"id": "8", "tags": ["a"]}, {"id": "8", "tags": {"_append": ["b", "c"]}}, {"id": "8", "tags": {"_append_unique": ["c", "d"]}}, {"id": "8", "tags": {"_append": "a"}}]}');
SELECT attributes FROM contact WHERE id_b80bb774 = '8';
-- Back to where it was: nothing changed in the end, but the event says what it did.
SELECT action FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["id"], "jsonataExpression": "rows",
    "fields": [{"attribute": "id", "field": "id"}, {"attribute": "tags", "field": "tags"}]}]}', 'x', '{"rows": [
    {"id": "8", "tags": ["x"]}, {"id": "8", "tags": ["a", "b", "c", "d", "a"]}]}');
SELECT attributes FROM contact WHERE id_b80bb774 = '8';

-- By different keys: the second entry finds what the first wrote.
SELECT action, unique_identifiers FROM erp_apply('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}, {"attribute": "email", "field": "email"}]},
    {"entity_schema": "contact", "unique_ids": ["email"], "fields": [{"attribute": "email", "field": "email"}, {"attribute": "found", "constant": true}]}
]}', 'x', '{"id": 9, "email": "a@x.de"}');
SELECT attributes FROM contact WHERE email = 'a@x.de';
-- It may change a key, and is found by the new one in the same event.
SELECT action, unique_identifiers FROM erp_apply('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}, {"attribute": "email", "field": "new"}]},
    {"entity_schema": "contact", "unique_ids": ["email"], "fields": [{"attribute": "email", "field": "new"}, {"attribute": "moved", "constant": true}]},
    {"entity_schema": "contact", "unique_ids": ["email"], "fields": [{"attribute": "email", "field": "email"}, {"attribute": "late", "constant": true}]}
]}', 'x', '{"id": 9, "email": "a@x.de", "new": "b@x.de"}');
SELECT attributes FROM contact WHERE email LIKE '%@x.de' ORDER BY email;
-- A key that another entity has: the unique index says so, unchanged.
SELECT * FROM failure($$ SELECT * FROM erp_apply('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}, {"attribute": "email", "field": "email"}]}
]}', 'x', '{"id": 9, "email": "a@x.de"}') $$) \gx
SELECT attributes FROM contact WHERE email LIKE '%@x.de' ORDER BY email;

-- Nothing is half applied: the second entry fails, the first is undone.
SELECT * FROM failure($$ SELECT * FROM erp_apply('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "constant": "half"}]},
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}]}
]}', 'x', '{}') $$) \gx
SELECT count(*) FROM erp_find('contact', '{"id": "half"}');

CALL forget('apply_entities');
