-- Schema drift: fields that no mapping reads, and mapped fields that do not arrive.
CREATE SCHEMA drift;
SET search_path = drift, public;
SET client_min_messages = error;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('erp', settings => '{"drift_sample": 1}');
SELECT erp_set_use_case('erp/c', customer_mapping()), erp_set_use_case('erp/off', customer_mapping(), settings => '{"drift_sample": 0}');
-- Nothing was looked at yet.
TABLE erp.unread_fields;
TABLE erp.missing_fields;
SELECT erp_sample_fields();

SELECT count(*) FROM erp_ingest_batch('erp/c', ARRAY['{"event_name": "Changed", "payload": {"id": 1, "name": "A", "address": {"street": "x", "town": {"zip": 1}}, "lines": [{"no": 1}, {"amount": 2}], "a key": 1}}',
    '{"event_name": "Changed", "payload": "{\"id\": 2, \"address\": null, \"tags\": [[{\"deep\": 1}]]}"}', '{"event_name": "Changed", "payload": {"id": 3}, "deduplication_id": "d"}', '{"event_name": "Changed", "payload": {"id": 3, "never": 1}, "deduplication_id": "d"}']::jsonb[]);
SELECT erp_enqueue('erp/c', '{"event_name": "Nix", "payload": {"what": 1}}'), erp_enqueue('erp/c', '{"event_name": "Changed", "payload": "no JSON"}'), erp_enqueue('erp/off', '{"event_name": "Changed", "payload": {"id": 1, "unknown": 1}}');
SELECT erp_sample_fields(), erp_sample_fields() AS again;
SELECT use_case, event_name, path, events, sampled, first_seen_at <= last_seen_at AS in_order FROM erp.unread_fields ORDER BY event_name, path;
SELECT use_case, event_name, path, entity_slug, attribute, role, place, last_seen_at, sampled FROM erp.missing_fields;
-- A mapping that reads them: at once
SELECT erp_set_use_case('erp/c', jsonb_set(customer_mapping(), '{mapping,events,Changed,entities,0,fields,0}', '[{"attribute": "x", "jsonataExpression": "address.street & lines.no"}, {"attribute": "y", "field": "a key"}, {"attribute": "z", "field": "$.never[*].z"}]'::jsonb -> 0) ||
    '{}');
SELECT event_name, path FROM erp.unread_fields ORDER BY event_name, path;
-- Of a new version nothing is missing until an event was looked at since.
TABLE erp.missing_fields;
SELECT count(*) FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "A"}}', 'dead_letter');
SELECT erp_sample_fields();
SELECT path, attribute, last_seen_at FROM erp.missing_fields;
-- A field that stopped arriving
UPDATE erp.field_seen SET last_seen_at = last_seen_at - interval '8 days', first_seen_at = first_seen_at - interval '8 days' WHERE names = '{name}';
SELECT path, attribute, last_seen_at IS NULL AS never FROM erp.missing_fields ORDER BY path;
-- Long ago: forgotten
UPDATE erp.field_seen SET last_seen_at = now() - interval '91 days' WHERE names = '{address}';
SELECT erp_sample_fields();
SELECT count(*) AS addresses FROM erp.field_seen WHERE names = '{address}';

-- Items that an expression yields: below a path field by field, otherwise all of it counts as read.
SELECT erp_set_use_case('erp/items', '{"version": "2.0", "mapping": {"events": {
    "Path": {"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "data.contacts", "fields": [{"attribute": "customer_number", "field": "id"}]}]},
    "Filter": {"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "data.contacts[id > 1]", "fields": [{"attribute": "customer_number", "field": "id"}]}]},
    "Any": {"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "$.*.id"}]}]},
    "All": {"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "jsonataExpression": "$string($)"}]}]}}}}');
SELECT erp_enqueue_batch('erp/items', name, ARRAY['{"data": {"contacts": [{"id": 1, "new": 1}], "other": 1}, "more": {"id": 1, "x": {"id": 1}}}']::jsonb[]) FROM unnest(ARRAY['Path', 'Filter', 'Any', 'All']) AS name;
SELECT erp_sample_fields('erp/items'), erp_sample_fields('erp');
SELECT event_name, path FROM erp.unread_fields WHERE use_case = 'erp/items' ORDER BY event_name, path;
SELECT event_name, path FROM erp.missing_fields WHERE use_case = 'erp/items' ORDER BY event_name, path;

-- A sample: one of each ten ids, never twice, only the latest when there are many
SELECT erp_set_use_case('erp/c', customer_mapping(), settings => '{"drift_sample": 10}');
SELECT erp_enqueue_batch('erp/c', 'Many', array_agg(jsonb_build_object('n', n, 'k' || n, 1))) FROM generate_series(1, 1000) AS n;
SELECT erp_sample_fields('erp/c', 20), erp_sample_fields('erp/c', 20) AS again;
SELECT events FROM erp.field_seen WHERE event_name = 'Many' AND names = '{}';
SELECT count(*) FROM erp.field_seen WHERE event_name = 'Many' AND names[1] LIKE 'k%';
-- Names that are data do not fill the table.
SELECT erp_set_use_case('erp/c', customer_mapping(), settings => '{"drift_sample": 1}');
SELECT erp_enqueue_batch('erp/c', 'Keys', array_agg(p)) FROM (SELECT jsonb_object_agg(format('k%s.%s', n, m), 1) AS p FROM generate_series(1, 4) AS n, generate_series(1, 500) AS m GROUP BY n) AS s;
SELECT erp_sample_fields('erp/c') > 0 AS looked;
SELECT count(*), count(*) FILTER (WHERE names = '{}') AS payload FROM erp.field_seen WHERE event_name = 'Keys';
-- Nor does an event of any name keep the others from being looked at.
SELECT erp_enqueue_batch('erp/c', ARRAY[jsonb_build_object('event_name', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n), 'payload', '{"a": 1}'::jsonb),
                                        jsonb_build_object('event_name', repeat('x', 200), 'payload', (SELECT jsonb_build_object(a, jsonb_build_object(a, jsonb_build_object(a, jsonb_build_object(a, jsonb_build_object(a,
                                            jsonb_build_object(a, jsonb_build_object(a, jsonb_build_object(a, 1)))))))) FROM (SELECT string_agg(left(md5(n::text), 20), '') AS a FROM generate_series(1, 10) AS n) AS k))]);
SELECT erp_sample_fields('erp/c');
SELECT left(event_name, 10) AS name, count(*), max(cardinality(names)) FROM erp.field_seen WHERE octet_length(event_name) >= 200 GROUP BY event_name;
-- Deep and wide ones are looked at in part.
SELECT count(*), max(cardinality(names)) FROM erp._fields('{"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": 1}}}}}}}}}}') AS names;
SELECT count(*) FROM erp._fields((SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('k' || n, 1))) FROM generate_series(1, 1000) AS n));
SELECT value, names FROM unnest(ARRAY['1', '[]', '{}', '[[{"a": 1}], 2]', 'null']::jsonb[]) AS value, erp._fields(value) AS names ORDER BY value, names;
SELECT path, erp._names(path) AS names, erp._path(erp._names(path)) = path AS is_same FROM unnest(ARRAY['a', 'a.b_1.*', '`a b`.c', '`x.y`', '*.a', 'ä.`1`']) AS path;
SELECT state, message FROM failure($$ SELECT erp_sample_fields('nix') $$);

-- Goes with its use case
SELECT erp_drop_integration('erp', cascade => true);
SELECT count(*) FROM erp.field_seen;
CALL forget_integrations();
CALL forget('drift');
