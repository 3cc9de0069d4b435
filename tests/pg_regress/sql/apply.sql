-- erp_apply: what it does to one entity, and says it did.
CREATE SCHEMA apply;
SET search_path = apply, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());

-- Created with a stub for what it links to; nothing changed; changed; completed when its own event comes.
SELECT entity_slug, action, unique_identifiers FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Ada", "account": "A-1"}');
SELECT readable(attributes) AS contact, stub, created_at = now() AS created_now, updated_at = created_at AS is_new, deleted_at FROM contact;
SELECT attributes, stub FROM account;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Ada", "account": "A-1"}');
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Augusta"}');
SELECT readable(attributes) AS contact FROM contact;
CREATE FUNCTION account_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "account", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "number"}, {"attribute": "iban", "field": "iban"}]}'::jsonb);
SELECT count(*) AS statements FROM erp_prepare(account_mapping());
SELECT entity_slug, action FROM erp_apply(account_mapping(), 'Changed', '{"number": "A-1", "iban": "DE1"}');
SELECT attributes, stub FROM account;
-- Completed by an event that says no more than is known: it is an entity now.
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "account": "A-2"}');
SELECT entity_slug, action FROM erp_apply(account_mapping(), 'Changed', '{"number": "A-2"}');
SELECT entity_slug, action FROM erp_apply(account_mapping(), 'Changed', '{"number": "A-2"}');

-- The id that it returns is the row's.
SELECT a.action, a.entity_id = c.id::text AS is_its_id FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Ada"}') AS a, contact AS c;
SELECT a.action, a.entity_id = c.id::text AS is_its_id FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Ada"}') AS a, contact AS c;

-- Missing, null and a value are three things; values are replaced whole; what the mapping does not name stays.
UPDATE contact SET attributes = attributes || '{"mine": true}';
CREATE FUNCTION contact_after(payload jsonb, OUT action text, OUT attributes jsonb) LANGUAGE plpgsql AS $$
BEGIN
    action := (SELECT a.action FROM erp_apply(customer_mapping(), 'Changed', payload) AS a);
    attributes := (SELECT f.attributes - 'account' FROM erp_find('contact', jsonb_build_object('customer_number', payload -> 'id')) AS f);
END
$$;
SELECT payload, action, attributes
FROM unnest(ARRAY['{"id": "C-1", "name": {"first": "Ada"}}', '{"id": "C-1", "name": {"last": "Byron"}}', '{"id": "C-1"}',
                  '{"id": "C-1", "name": null}', '{"id": "C-1", "name": null}', '{"id": "C-1", "name": ""}', '{"id": "C-1", "name": ["a"]}']::jsonb[]) WITH ORDINALITY AS p(payload, n),
     contact_after(payload)
ORDER BY n;

-- Unchanged is not written: the row version stays, and its times. Compared exactly.
SELECT ctid AS old_ctid, xmin AS old_xmin, xmax AS old_xmax, updated_at AS old_updated_at FROM contact \gset
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": ["a"]}');
SELECT ctid = :'old_ctid' AND xmin = :'old_xmin' AND updated_at = :'old_updated_at' AS is_the_same_version, xmax = :'old_xmax' AS is_not_locked FROM contact;
SELECT name, action
FROM unnest(ARRAY['1.1', '1.10', '1.10', '"1.10"', 'true', '"true"', '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '[1, 2]', '[2, 1]', '"ä"', '"a\u0308"', '"Ä"']::jsonb[]) WITH ORDINALITY AS v(name, n),
     erp_apply(customer_mapping(), 'Changed', jsonb_build_object('id', 'C-1', 'name', name))
ORDER BY n;
SELECT updated_at > :'old_updated_at' AS is_updated, created_at < updated_at AS is_older FROM contact;

-- Soft-deleted: an upsert restores it, even when nothing else changes.
UPDATE contact SET deleted_at = now();
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Ä"}');
SELECT deleted_at FROM contact;
UPDATE contact SET deleted_at = now();
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-1", "name": "Ada"}');
SELECT deleted_at, attributes ->> 'name' AS name FROM contact;
-- Linking to it does not restore it, nor make a stub beside it.
UPDATE account SET deleted_at = now();
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-2", "account": "A-1"}');
SELECT attributes, stub, deleted_at IS NOT NULL AS is_deleted FROM account ORDER BY number;

-- Rows that other SQL wrote are found.
INSERT INTO contact (id, attributes) VALUES ('00000000-0000-0000-0000-000000000001', '{"customer_number": "C-3"}');
SELECT entity_id, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "C-3", "name": "Charles"}');

-- An event that maps to nothing does nothing.
SELECT * FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["customer_number"], "enabled": false, "fields": []}'), 'Changed', '{}');
SELECT * FROM erp_apply('{"entities": []}', 'Changed', '{}');

-- Every form of the call
SELECT action FROM erp_apply(mapping => customer_mapping(), event_name => 'Changed', payload => '{"id": "C-4"}');
SELECT action FROM erp_apply(payload => to_jsonb('{"id": "C-5"}'::text), mapping => customer_mapping(), event_name => 'Changed');
SELECT action FROM erp_apply(customer_mapping(), '{"event_name": "Changed", "payload": {"id": "C-6"}}');
SELECT action FROM erp_apply(mapping => customer_mapping(), event => '{"event_name": "Changed", "payload": "{\"id\": \"C-7\"}",
    "deduplication_id": "d", "correlation_id": "c", "timestamp": "2024-01-01T00:00:00Z", "more": 1}');
SELECT (erp_apply(customer_mapping(), 'Changed', '{"id": "C-8"}')).action;
SELECT customer_number FROM contact ORDER BY 1;

-- Events that are none
SELECT event, state, message
FROM unnest(ARRAY['null', '"Changed"', '[]', '{}', '{"event_name": "Changed"}', '{"payload": {}}', '{"event_name": null, "payload": {}}', '{"event_name": 1, "payload": {}}',
                  '{"event_name": "Changed", "payload": "{"}', '{"event_name": "Other", "payload": {}}', '{"event_name": "Changed", "payload": null}']) WITH ORDINALITY AS e(event, n),
     failure(format('SELECT * FROM erp_apply(customer_mapping(), %L)', event))
ORDER BY n;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), NULL) $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(NULL, '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(NULL, 'Changed', '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), NULL, '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', NULL) $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Chagned', '{}') $$) \gx

-- Types that are not prepared; identifiers that are not are looked for all the same.
SELECT * FROM failure($$ SELECT * FROM erp_apply('{"entities": [{"entity_schema": "contakt", "unique_ids": ["customer_number"], "fields": [
    {"attribute": "customer_number", "field": "id"}]}]}', 'x', '{"id": 1}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["email"], "fields": [
    {"attribute": "email", "field": "id"}]}]}', 'x', '{"id": 1}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
    {"attribute": "customer_number", "field": "id"},
    {"attribute": "meters", "relations": {"items": [{"entity_schema": "meter", "unique_ids": [{"attribute": "number", "field": "id"}, {"attribute": "kind", "constant": "gas"}]}]}}
    ]}]}', 'x', '{"id": 1}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
    {"attribute": "customer_number", "field": "id"},
    {"attribute": "friend", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "id"}]}]}}
    ]}]}', 'x', '{"id": 1}') $$) \gx

SELECT count(*) FROM erp_find('contact', '{"customer_number": "never"}');

CALL forget('apply');
