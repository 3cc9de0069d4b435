-- What history that was not always kept says of an entity at a time: what is certain, and what is not.
CREATE SCHEMA gaps;
SET search_path = gaps, public;
SET client_min_messages = error;
SELECT erp_create_entity('contact', ARRAY['no']);
\set mapping '{"entities": [{"entity_schema": "contact", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "a", "field": "a"}, {"attribute": "b", "field": "b"}]}]}'
SELECT erp_create_integration('erp');
SELECT erp_set_use_case('erp/none', :'mapping'), erp_set_use_case('erp/full', :'mapping', settings => '{"history": "full"}'), erp_set_use_case('erp/changes', :'mapping', settings => '{"history": "changes"}');
CREATE TABLE moment (n int GENERATED ALWAYS AS IDENTITY, after text, at timestamptz);
CREATE PROCEDURE ingest(kept text, payload jsonb) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM erp_ingest('erp/' || kept, jsonb_build_object('event_name', 'x', 'payload', payload));
    COMMIT;
    INSERT INTO moment (after, at) VALUES (kept || ' ' || payload, clock_timestamp());
    COMMIT;
END $$;
CREATE VIEW was AS SELECT m.n, m.after, e.attributes, e.state, e.event_id, e.gap FROM moment AS m, erp_find('contact') AS f, erp_entity_at('contact', f.entity_id, m.at) AS e ORDER BY m.n;
INSERT INTO moment (after, at) VALUES ('nothing', clock_timestamp());

-- Never kept: as it is now, since its last change, and not there before it was created.
CALL ingest('none', '{"no": 1, "a": 1}');
TABLE was;
CALL ingest('none', '{"no": 1, "a": 2}');
TABLE was;
-- Kept from some time on
CALL ingest('changes', '{"no": 1, "b": 1}');
CALL ingest('changes', '{"no": 1, "b": 2}');
TABLE was;
-- Not kept for a while: the change of another attribute cannot be told, that of the same one can.
CALL ingest('none', '{"no": 1, "b": 3}');
TABLE was;
CALL ingest('changes', '{"no": 1, "b": 4}');
TABLE was;
-- All attributes at one time make the times after it certain.
CALL ingest('full', '{"no": 1, "a": 5}');
CALL ingest('changes', '{"no": 1, "b": 6}');
SELECT * FROM was WHERE n >= 6;
CALL ingest('none', '{"no": 1, "a": 7}');
CALL ingest('full', '{"no": 1, "b": 8}');
SELECT * FROM was WHERE n >= 7;
-- Changed by other SQL, then purged by it
UPDATE contact SET attributes = attributes || '{"a": 9}';
SELECT * FROM was WHERE n >= 10;
CREATE TABLE gone AS SELECT entity_id FROM erp_find('contact');
DELETE FROM contact;
SELECT m.n, m.after, e.attributes, e.state, e.gap FROM moment AS m, gone AS g, erp_entity_at('contact', g.entity_id, m.at) AS e ORDER BY m.n;
-- The beginning is no longer kept.
DELETE FROM erp.history WHERE id <= (SELECT id FROM erp.history WHERE is_full ORDER BY id LIMIT 1);
SELECT m.n, m.after, e.attributes, e.state, e.gap FROM moment AS m, gone AS g, erp_entity_at('contact', g.entity_id, m.at) AS e ORDER BY m.n;
DELETE FROM erp.history;
SELECT e.* FROM gone AS g, erp_entity_at('contact', g.entity_id, now()) AS e;

-- All that the history tells has to be there now.
CALL ingest('full', '{"no": 2, "a": 1, "b": 1}');
UPDATE contact SET attributes = attributes || '{"a": 2}';
CALL ingest('changes', '{"no": 2, "b": 2}');
SELECT * FROM was ORDER BY n DESC LIMIT 2;

-- An id that comes again was there before, though it was created since.
CREATE TABLE meter (no text PRIMARY KEY, reading int, created_at timestamptz DEFAULT clock_timestamp(), updated_at timestamptz DEFAULT clock_timestamp());
SELECT erp_register_entity('meter', 'meter', ARRAY['no'], created_at_column => 'created_at', updated_at_column => 'updated_at');
SELECT erp_set_use_case('erp/meters', '{"version": "2.0", "mapping": {"events": {
    "Read": {"entities": [{"entity_schema": "meter", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "reading", "field": "reading"}]}]},
    "Removed": {"entities": [{"entity_schema": "meter", "unique_ids": ["no"], "mode": "purge", "fields": [{"attribute": "no", "field": "no"}]}]}}}}', settings => '{"history": "full"}');
INSERT INTO meter VALUES ('m', 1);
SELECT clock_timestamp() AS there \gset
SELECT action FROM erp_ingest('erp/meters', '{"event_name": "Read", "payload": {"no": "m", "reading": 2}}');
SELECT action FROM erp_ingest('erp/meters', '{"event_name": "Removed", "payload": {"no": "m"}}');
SELECT clock_timestamp() AS gone \gset
SELECT action FROM erp_ingest('erp/meters', '{"event_name": "Read", "payload": {"no": "m", "reading": 3}}');
SELECT e.attributes, e.state, e.gap FROM unnest(ARRAY[:'there', :'gone', 'infinity']::timestamptz[]) WITH ORDINALITY AS t(at, n), erp_entity_at('meter', 'm', t.at) AS e ORDER BY n;

-- A time is the same in every zone.
CREATE TABLE plan (no text PRIMARY KEY, at timestamptz, note text);
SELECT erp_register_entity('plan', 'plan', ARRAY['no']);
SELECT erp_set_use_case('erp/plans', '{"entities": [{"entity_schema": "plan", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "at", "field": "at"}, {"attribute": "note", "field": "note"}]}]}', settings => '{"history": "full"}');
SET TimeZone = 'Asia/Kathmandu';
SELECT action FROM erp_ingest('erp/plans', '{"event_name": "x", "payload": {"no": "p", "at": "2024-02-29T22:30:00.25Z"}}');
SET TimeZone = 'America/New_York';
SELECT clock_timestamp() AS planned \gset
SELECT attributes, gap FROM erp_entity_at('plan', 'p', :'planned');
SELECT action FROM erp_ingest('erp/plans', '{"event_name": "x", "payload": {"no": "p", "note": "2024-02-31T00:00:00+00:00"}}');
RESET TimeZone;
SELECT e.attributes, e.gap FROM unnest(ARRAY[:'planned', 'infinity']::timestamptz[]) WITH ORDINALITY AS t(at, n), erp_entity_at('plan', 'p', t.at) AS e ORDER BY n;
UPDATE plan SET at = at + interval '1 us';
SELECT attributes, gap FROM erp_entity_at('plan', 'p', 'infinity');
SELECT one, other, erp._is_same(to_jsonb(one), to_jsonb(other)) FROM (VALUES ('2024-03-01T00:00:00+00:00', '2024-02-29T19:00:00-05:00'), ('2024-03-01T00:00:00+00:00', '2024-02-29T19:00:01-05:00'), ('1900-01-01T00:00:00+00:00', '1900-01-01T05:41:16+05:41:16'),
    ('2024-01-01T00:00:00', '2024-01-01T00:00:00+00:00'), ('0000-01-01T00:00:00+00:00', '0000-01-01T01:00:00+01:00'), ('a', 'b'), ('a', NULL), (NULL, NULL)) AS v(one, other);

CALL forget_integrations();
CALL forget('gaps');
