-- What events changed, who reads it how, and entities as they were.
CREATE SCHEMA history;
SET search_path = history, public;
SET client_min_messages = error;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('erp');
SELECT erp_set_use_case('erp/changes', customer_mapping(), settings => '{"history": "changes"}'), erp_set_use_case('erp/full', customer_mapping(), settings => '{"history": "full"}'),
       erp_set_use_case('erp/none', customer_mapping());
SELECT erp_set_use_case('erp/remove', '{"version": "2.0", "mapping": {"events": {
    "Deleted": {"entities": [{"entity_schema": "contact", "mode": "delete", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]}]},
    "Purged": {"entities": [{"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]}]},
    "Account": {"entities": [{"entity_schema": "account", "mode": "purge", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]}]}}}}', settings => '{"history": "changes"}');
CREATE FUNCTION ingest(use_case text, event_name text, payload jsonb, correlation_id text DEFAULT NULL) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(entity_slug || ' ' || action, ', ') FROM erp_ingest('erp/' || use_case, jsonb_build_object('event_name', event_name, 'payload', payload, 'correlation_id', correlation_id)));

SELECT ingest('changes', 'Changed', '{"id": 1, "name": "Ada", "account": "X"}', 'op-1');
SELECT ingest('changes', 'Changed', '{"id": 1, "name": "Ada L.", "tags": ["a"]}');
-- Nothing changes: no history.
SELECT ingest('changes', 'Changed', '{"id": 1, "name": "Ada L."}');
SELECT ingest('full', 'Changed', '{"id": 1, "name": null}');
SELECT ingest('remove', 'Deleted', '{"id": 1}');
SELECT ingest('changes', 'Changed', '{"id": 1}');
-- Purging what it links to takes the item out of its relation: that is a change of it.
SELECT ingest('remove', 'Account', '{"id": "X"}');
SELECT ingest('remove', 'Purged', '{"id": 1}');
CREATE FUNCTION no_ids(value jsonb) RETURNS text LANGUAGE sql RETURN regexp_replace(value::text, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '…', 'g');
SELECT action, attributes, no_ids(before) AS before, no_ids(after) AS after, event_id, event_name, use_case, version, correlation_id, changed_by = current_user AS is_own
FROM erp_history('contact', unique_identifiers => '{"customer_number": "1"}') \gx
SELECT DISTINCT entity AS contact FROM erp_history('contact', unique_identifiers => '{"customer_number": 1}') \gset
SELECT action, before IS NULL AS is_new, after IS NULL AS is_gone, state_before, state_after, is_full FROM erp.history WHERE entity_id = :'contact' ORDER BY id;
SELECT entity = :'contact' AS is_it, action FROM erp_history('contact', :'contact');
SELECT action, attributes, after FROM erp_history('account', unique_identifiers => '{"number": "X"}');
-- Before each change and after it
SELECT h.action, b.attributes - 'account' AS before, b.state AS before_state, a.attributes - 'account' AS after, a.state AS after_state, a.event_id, a.gap
FROM erp_history('contact', :'contact') AS h, erp_entity_at('contact', :'contact', h.changed_at - interval '1 us') AS b, erp_entity_at('contact', :'contact', h.changed_at) AS a
ORDER BY h.changed_at;
SELECT attributes, state, event_id, gap FROM erp_entity_at('contact', :'contact', 'infinity');

-- Several changes in a batch; an event with several entries for an entity is one change of it.
SELECT erp_set_use_case('erp/twice', changed('{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}, {"attribute": "a", "field": "a"}]}',
    '{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}, {"attribute": "b", "field": "b"}]}'), settings => '{"history": "full"}');
SELECT action FROM erp_ingest_batch('erp/twice', ARRAY['{"event_name": "Changed", "payload": {"id": 2, "a": 1, "b": 1}}', '{"event_name": "Changed", "payload": {"id": 2, "a": 2, "b": 1}}',
    '{"event_name": "Changed", "payload": {"id": 2, "a": 2, "b": 2}}']::jsonb[]);
SELECT action, attributes, before, after FROM erp_history('contact', unique_identifiers => '{"customer_number": 2}');

-- It tells what is in the table, whatever triggers and column defaults made of it, also of ids that a sequence gives.
CREATE TABLE meter (no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number text UNIQUE, unit text DEFAULT 'kWh', reading numeric(10, 1), upper text GENERATED ALWAYS AS (upper(number)) STORED);
CREATE TABLE site (no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, data jsonb);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.data := NEW.data || '{"stamped": true}'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON site FOR EACH ROW EXECUTE FUNCTION stamp();
SELECT erp_register_entity('meter', 'meter', ARRAY['number']), erp_register_entity('site', 'site', ARRAY['name'], attributes_column => 'data');
SELECT erp_set_use_case('erp/meters', changed(
    '{"entity_schema": "site", "unique_ids": ["name"], "fields": [{"attribute": "name", "field": "site"}, {"attribute": "note", "field": "note"}, {"attribute": "meters", "relations": {"operation": "_append_unique", "items": [
        {"entity_schema": "meter", "unique_ids": [{"attribute": "number", "field": "id"}]}]}}]}',
    '{"entity_schema": "meter", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}, {"attribute": "reading", "field": "reading"}]}'), settings => '{"history": "full"}');
SELECT event_id - min(event_id) OVER () AS n, entity_slug, action FROM erp_ingest_batch('erp/meters', ARRAY['{"event_name": "Changed", "payload": {"id": "m1", "reading": 1.25, "site": "S"}}',
    '{"event_name": "Changed", "payload": {"id": "m2", "reading": 2, "site": "S", "note": "two"}}']::jsonb[]);
SELECT ingest('meters', 'Changed', '{"id": "m1", "reading": 3, "site": "S", "note": "three"}');
SELECT entity_slug, entity_id, action, before, after FROM erp.history WHERE entity_slug IN ('meter', 'site') ORDER BY id;
SELECT e.* FROM erp_find('site') AS f, erp_entity_at('site', f.entity_id, 'infinity') AS a, jsonb_to_record(a.attributes) AS e(name text, note text, stamped boolean);

-- Arguments
SELECT * FROM failure($$ SELECT * FROM erp_history('contact') $$) \gx
SELECT call, state, message FROM unnest(ARRAY['erp_history(NULL, ''x'')', 'erp_history(''contact'', ''x'', ''{}'')', 'erp_history(''nix'', unique_identifiers => ''{"a": 1}'')', 'erp_entity_at(''nix'', ''x'', now())',
    'erp_entity_at(NULL, ''x'', now())', 'erp_entity_at(''contact'', NULL, now())', 'erp_entity_at(''contact'', ''x'', NULL)']) WITH ORDINALITY AS s(call, n), failure('SELECT * FROM ' || call) ORDER BY n;
SELECT count(*) FROM erp_history('contact', 'no uuid');
SELECT state, gap FROM erp_entity_at('contact', 'no uuid', now());
SELECT state, gap FROM erp_entity_at('meter', '99', now());
-- The history outlives the binding of its type.
SELECT erp_unregister_entity('meter');
SELECT action FROM erp_history('meter', '1');
SELECT attributes, state, gap FROM erp_entity_at('meter', '1', 'infinity');

CALL forget_integrations();
CALL forget('history');
