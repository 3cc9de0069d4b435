-- Events that are applied now, through a use case: what comes back, what is noted, what is refused.
CREATE SCHEMA ingest;
SET search_path = ingest, public;
\set ECHO none
SELECT erp_prepare(customer_mapping()) \g /dev/null
SELECT erp_create_integration('crm') \g /dev/null
SELECT erp_set_use_case('crm/customers', customer_mapping()) \g /dev/null
SELECT erp_set_use_case('crm/letters', '{"template": 1}', type => 'outbound') \g /dev/null
-- Events, what became of them, and why.
CREATE VIEW noted AS
SELECT coalesce(e.payload ->> 'id', e.payload #>> '{}') AS id, e.event_name AS event, e.deduplication_id AS dedup, coalesce(d.deduplication_id, '-') AS duplicate_of,
       o.state, r.version, f.sqlstate, f.code
FROM erp.event AS e
LEFT JOIN erp.event AS d ON d.id = e.duplicate_of
LEFT JOIN erp.outcome AS o ON o.event = e.id
LEFT JOIN erp.run AS r ON r.id = o.run
LEFT JOIN erp.failure AS f ON f.event = e.id
ORDER BY e.id;
\set ECHO all

-- One event
SELECT entity_slug, action, unique_identifiers, error FROM erp_ingest('crm/customers',
    '{"event_name": "Changed", "payload": {"id": 1, "name": "Ann", "account": "A-1"}, "deduplication_id": "d-1", "correlation_id": "c-1", "timestamp": "2024-03-01T12:30:00Z"}');
SELECT * FROM noted;
SELECT correlation_id, occurred_at AT TIME ZONE 'UTC' AS occurred_at, received_by = current_user AS by_me FROM erp.event;
-- The same once more: nothing is done about it.
SELECT entity_slug, action, error FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 1, "name": "Bob"}, "deduplication_id": "d-1"}');
SELECT readable(attributes) FROM contact;
SELECT * FROM noted;

-- A payload that is a string, in a batch with repeats among themselves
CREATE TEMPORARY TABLE batch AS SELECT * FROM erp_ingest_batch('crm/customers', ARRAY[
    '{"event_name": "Changed", "payload": "{\"id\": 2}", "deduplication_id": "d-2"}',
    '{"event_name": "Changed", "payload": {"id": 3}, "deduplication_id": "d-1"}',
    '{"event_name": "Changed", "payload": {"id": 4}, "deduplication_id": "d-2"}',
    '{"event_name": "Changed", "payload": {"id": 5}}']::jsonb[]);
SELECT e.payload, e.deduplication_id, b.entity_slug, b.action, b.error ->> 'code' AS code
FROM batch AS b JOIN erp.event AS e ON e.id = b.event_id ORDER BY e.id;
DROP TABLE batch;

-- What fails leaves nothing, not even that it came in: the same deduplication_id may come again.
SELECT * FROM failure($$ SELECT * FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": ""}, "deduplication_id": "d-6"}') $$);
SELECT * FROM failure($$ SELECT * FROM erp_ingest_batch('crm/customers', ARRAY['{"event_name": "Changed", "payload": {"id": 6}}', '{"event_name": "Cahnged", "payload": {"id": 7}}']::jsonb[]) $$);
-- Or it goes to the dead letters, and the others are applied.
CREATE TEMPORARY TABLE batch AS SELECT * FROM erp_ingest_batch('crm/customers', ARRAY[
    '{"event_name": "Changed", "payload": {"id": 6}}',
    '{"event_name": "Changed", "payload": {"id": ""}, "deduplication_id": "d-6"}',
    '{"event_name": "Cahnged", "payload": {"id": 7}}',
    '{"event_name": "Changed", "payload": {"id": 8}}']::jsonb[], on_error => 'dead_letter');
SELECT e.payload, b.entity_slug, b.action, b.error ->> 'sqlstate' AS sqlstate
FROM batch AS b JOIN erp.event AS e ON e.id = b.event_id ORDER BY e.id;
DROP TABLE batch;
SELECT id, event, state, sqlstate, code FROM noted WHERE state IS DISTINCT FROM 'done';
SELECT sum(done) AS done, sum(failed) AS failed, sum(dead) AS dead FROM erp.run;
-- It counts as taken.
SELECT action FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 9}, "deduplication_id": "d-6"}');

-- What is no event
SELECT f.* FROM unnest(ARRAY['null', '"Changed"', '{"payload": 1}', '{"event_name": 1, "payload": 1}', '{"event_name": "Changed"}',
                             '{"event_name": "Changed", "payload": 1, "timestamp": "soon"}', '{"event_name": "Changed", "payload": "{"}']) AS event,
     failure(format('SELECT * FROM erp_ingest(''crm/customers'', %L)', event)) AS f;
SELECT * FROM failure('SELECT * FROM erp_ingest(''crm/customers'', NULL)');
SELECT * FROM failure('SELECT * FROM erp_ingest_batch(''crm/customers'', NULL)');
SELECT * FROM failure('SELECT * FROM erp_ingest_batch(''crm/customers'', ARRAY[''{"event_name": "Changed", "payload": 1}'', NULL]::jsonb[])');
SELECT * FROM failure(format('SELECT * FROM erp_ingest(''crm/customers'', %L)', jsonb_build_object('event_name', 'Changed', 'payload', 1, 'deduplication_id', repeat('x', 1001))));
-- No events at all
SELECT count(*) FROM erp_ingest_batch('crm/customers', '{}');

-- Where no events are taken
SELECT f.* FROM unnest(ARRAY['crm/custmers', 'crm', 'cmr/customers', 'crm/letters', NULL]) AS use_case,
     failure(format('SELECT * FROM erp_ingest(%L, ''{"event_name": "Changed", "payload": {}}'')', use_case)) AS f;
SELECT erp_disable('crm/customers');
SELECT * FROM failure($$ SELECT * FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 1}}') $$);
SELECT erp_enable('crm');
SELECT * FROM failure($$ SELECT * FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {}}', 'continue') $$);

-- A configuration that somebody has deleted
BEGIN;
DELETE FROM erp.use_case_version;
SELECT * FROM failure($$ SELECT * FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 1}}') $$);
SELECT erp_set_use_case('crm/customers', customer_mapping());
SELECT action FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 1}}');
ROLLBACK;

-- The use case's trigger runs in the caller's search_path, with the caller's settings.
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'search_path %', current_setting('search_path'); RETURN new; END $$;
CREATE TRIGGER told BEFORE INSERT ON contact FOR EACH ROW EXECUTE FUNCTION told();
SELECT entity_slug, action FROM erp_ingest('crm/customers', '{"event_name": "Changed", "payload": {"id": 10}}');

SELECT erp_drop_integration('crm', cascade => true);
TRUNCATE erp.event, erp.inbox, erp.outcome, erp.run, erp.failure, erp.history;
CALL forget('ingest');
