-- erp_apply_batch: many events at once, with the result of one after the other.
CREATE SCHEMA apply_batch;
SET search_path = apply_batch, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());

-- In order, with the event's number; an event sees what those before it did.
SELECT event, entity_slug, action, unique_identifiers, error
FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 1, "name": "A", "account": "X"}', '{"id": 2, "account": "X"}', '{"id": 1}', '{"id": 1, "name": "B"}',
                                                          '{"id": 2, "account": "Y"}', '{"id": 1, "name": "A"}']::jsonb[]);
SELECT readable(attributes) AS contact FROM contact ORDER BY customer_number;
SELECT count(*) AS versions FROM (SELECT DISTINCT xmin FROM contact) AS x;
-- The same again changes nothing but what they change on the way.
SELECT event, action FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 2, "account": "Y"}', '{"id": 1, "name": "A"}', '{"id": 3}']::jsonb[]);

-- Every form of the call
SELECT count(*) FROM erp_apply_batch(customer_mapping(), 'Changed', '{}');
SELECT event, action FROM erp_apply_batch(mapping => customer_mapping(), event_name => 'Changed', payloads => ARRAY[to_jsonb('{"id": 4}'::text)], on_error => 'raise');
SELECT event, action FROM erp_apply_batch(customer_mapping(), 'Changed', (SELECT array_agg(jsonb_build_object('id', n) ORDER BY n DESC) FROM generate_series(5, 7) AS n));
SELECT event, action FROM erp_apply_batch(customer_mapping(), 'Changed', '[5:6]={"{\"id\": 5}","{\"id\": 8}"}'::jsonb[]);
SELECT event, action FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY[ARRAY['{"id": 5}', '{"id": 9}'], ARRAY['{"id": 6}', '{"id": 10}']]::jsonb[]);

-- What is wrong with its arguments
SELECT arguments, f.*
FROM unnest(ARRAY[$$NULL, 'Changed', '{}'$$, $$customer_mapping(), NULL, '{}'$$, $$customer_mapping(), 'Changed', NULL$$, $$customer_mapping(), 'Other', '{}'$$,
                  $$customer_mapping(), 'Changed', '{}', NULL$$, $$customer_mapping(), 'Changed', '{}', 'ignore'$$, $$customer_mapping(), 'Changed', '{}', 'CONTINUE'$$]) WITH ORDINALITY AS a(arguments, n),
     failure(format('SELECT * FROM erp_apply_batch(%s)', arguments)) AS f
ORDER BY n;

-- It fails whole at the first event that fails: the first of the batch, not the first to be found out.
SELECT * FROM failure($$ SELECT * FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": "never"}', '{"name": "no id"}', '"{"']::jsonb[]) $$) \gx
UPDATE contact SET attributes = attributes || '{"tags": "text"}' WHERE customer_number = '1';
SELECT * FROM failure($$ SELECT * FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": "never"}', '{"id": 1, "tags": {"_append": ["a"]}}', '{"name": "no id"}']::jsonb[]) $$) \gx
SELECT count(*) FROM erp_find('contact', '{"customer_number": "never"}');

-- Set aside, with its error; the others are applied. Every kind of failure:
ALTER TABLE contact ADD CONSTRAINT name_is_text CHECK (jsonb_typeof(attributes -> 'name') <> 'number');
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused' USING ERRCODE = 'XX123', DETAIL = 'the detail', HINT = 'the hint';
END
$$;
CREATE TRIGGER guard BEFORE INSERT ON contact FOR EACH ROW WHEN (NEW.attributes ->> 'name' = 'refused') EXECUTE FUNCTION guard();
CREATE FUNCTION contact_mapping() RETURNS jsonb LANGUAGE sql
    RETURN jsonb_insert(customer_mapping(), '{mapping,events,Changed,entities,0,fields,0}', '{"attribute": "checked", "jsonataExpression": "$number(checked)"}');
SELECT event, action, jsonb_pretty(CASE error ->> 'sqlstate' WHEN '23514' THEN error - 'detail' ELSE error END) AS error
FROM erp_apply_batch(contact_mapping(), 'Changed', ARRAY[
    '{"id": 20}', '{"id": 21, "name": 5}', '{"id": 22, "name": "refused"}', NULL, '"{"', '{"id": null}', '{"id": []}', '{"id": 23, "checked": "SECRET"}',
    '{"id": 1, "tags": {"_append": ["a"]}}', '{"id": 24, "account": {}}', '{"id": 25}']::jsonb[], on_error => 'continue');
SELECT customer_number FROM contact WHERE customer_number ~ '^2\d' ORDER BY 1;
-- The error of an event set aside is the one it raises alone.
SELECT payload, error ->> 'sqlstate' = state AS same_state, error ->> 'message' = message AS same_message,
       concat_ws(': ', error ->> 'code', error ->> 'detail') = detail AS same_detail, coalesce(error ->> 'hint', '') = coalesce(hint, '') AS same_hint
FROM (SELECT ARRAY['{"id": 22, "name": "refused"}', '"{"', '{"id": null}', '{"id": []}', '{"id": 23, "checked": "SECRET"}', '{"id": 1, "tags": {"_append": ["a"]}}']::jsonb[] AS payloads) AS p,
     erp_apply_batch(contact_mapping(), 'Changed', payloads, on_error => 'continue') AS b,
     LATERAL (SELECT payloads[event] AS payload) AS e,
     failure(format('SELECT * FROM erp_apply(contact_mapping(), %L, %L)', 'Changed', payload))
ORDER BY event;
-- No event is half applied, and none depends on one that was set aside.
SELECT event, action, unique_identifiers, error ->> 'sqlstate' AS sqlstate FROM erp_apply_batch(changed(
    '{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "first"}, {"attribute": "by", "field": "by"}]}',
    '{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "second"}, {"attribute": "by", "field": "by"}, {"attribute": "name", "field": "name"}]}'),
    'Changed', ARRAY['{"first": 30, "second": 31, "by": 1}', '{"first": 32, "by": 2}', '{"first": 31, "second": 33, "by": 3, "name": 5}', '{"first": 32, "second": 30, "by": 4}']::jsonb[], 'continue');
SELECT attributes FROM contact WHERE customer_number ~ '^3\d' ORDER BY customer_number;
-- All of them bad, none of them bad
SELECT event, action, error ->> 'code' AS code FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{}', NULL, '{"id": []}']::jsonb[], 'continue');
SELECT event, action, error FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 1}']::jsonb[], 'continue');
-- What is wrong with the mapping fails the call.
SELECT state, message FROM failure($$ SELECT * FROM erp_apply_batch('{}', 'Changed', ARRAY['{"id": 1}']::jsonb[], 'continue') $$);
-- A type that is not there is each event's failure.
SELECT event, action, error ->> 'code' AS code, error ->> 'message' AS message FROM erp_apply_batch('{"entities": [
    {"entity_schema": "meter", "unique_ids": ["id"], "enabled": "meter", "fields": [{"attribute": "id", "field": "id"}]},
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]}]}', 'x',
    ARRAY['{"id": 1, "meter": true}', '{"id": 1}']::jsonb[], 'continue');

-- Several chunks: all events are there, each once, in their order.
SELECT count(*) AS events, count(DISTINCT event) AS numbers, array_agg(DISTINCT action) AS actions, min(event) AS first, max(event) AS last
FROM erp_apply_batch(customer_mapping(), 'Changed', (SELECT array_agg(jsonb_build_object('id', 'many ' || n) ORDER BY n) FROM generate_series(1, 2500) AS n));
SELECT count(*) FROM contact WHERE customer_number LIKE 'many %';
-- The same entities again and again, through all chunks, the failing ones set aside
SELECT action, count(*) FROM erp_apply_batch(customer_mapping(), 'Changed',
    (SELECT array_agg(CASE WHEN n % 500 = 0 THEN '{}' ELSE jsonb_build_object('id', 'few ' || n % 7, 'account', n % 3, 'tags', jsonb_build_object('_append', n)) END ORDER BY n)
     FROM generate_series(1, 2500) AS n), 'continue')
GROUP BY action ORDER BY action;
SELECT customer_number, jsonb_array_length(attributes -> 'tags') AS tags,
       attributes -> 'tags' = (SELECT jsonb_agg(t ORDER BY t) FROM jsonb_array_elements(attributes -> 'tags') AS t) AS in_order
FROM contact WHERE customer_number LIKE 'few %' ORDER BY 1;
-- One bad event in the last chunk undoes them all.
SELECT state, message FROM failure($$ SELECT * FROM erp_apply_batch(customer_mapping(), 'Changed',
    (SELECT array_agg(CASE WHEN n = 2400 THEN '{}' ELSE jsonb_build_object('id', 'undone ' || n) END ORDER BY n) FROM generate_series(1, 2500) AS n)) $$);
SELECT count(*) FROM contact WHERE customer_number LIKE 'undone %';

-- The result is that of single events, in whatever order the keys come.
SELECT erp_create_entity('person', ARRAY['id']);
SELECT erp_create_entity('person', ARRAY['email']);
CREATE FUNCTION person_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed(
        '{"entity_schema": "person", "unique_ids": ["id"], "enabled": "$exists(id)", "fields": [
            {"attribute": "id", "field": "id"}, {"attribute": "email", "field": "email"}, {"attribute": "seen", "jsonataExpression": "{\"_append\": n}"}]}'::jsonb,
        '{"entity_schema": "person", "unique_ids": ["email"], "enabled": "$not($exists(id))", "fields": [
            {"attribute": "email", "field": "email"}, {"attribute": "seen", "jsonataExpression": "{\"_append\": n}"}]}'::jsonb);
CREATE FUNCTION events() RETURNS jsonb[] LANGUAGE sql RETURN ARRAY[
    -- Found by either key
    '{"n": 1, "id": 1, "email": "a"}', '{"n": 2, "email": "a"}',
    -- It gets another key; the old one is free for another person.
    '{"n": 3, "id": 1, "email": "b"}', '{"n": 4, "email": "a"}', '{"n": 5, "email": "b"}',
    -- And gives it up altogether
    '{"n": 6, "id": 1, "email": null}', '{"n": 7, "email": "b"}', '{"n": 8, "id": 1, "email": "c"}', '{"n": 9, "email": "c"}']::jsonb[];
CREATE VIEW persons AS SELECT attributes FROM person ORDER BY attributes ->> 'email';
SELECT e.event ->> 'n' AS n, a.action FROM unnest(events()) AS e(event), erp_apply(person_mapping(), 'Changed', e.event) AS a;
CREATE TABLE one_by_one AS TABLE persons;
TRUNCATE person;
SELECT event AS n, action FROM erp_apply_batch(person_mapping(), 'Changed', events());
CREATE TABLE at_once AS TABLE persons;
-- Also when the person is there already, whose old key another gets
TRUNCATE person;
SELECT event AS n, action FROM erp_apply_batch(person_mapping(), 'Changed', (events())[:2]);
SELECT event + 2 AS n, action FROM erp_apply_batch(person_mapping(), 'Changed', (events())[3:]);
SELECT attributes AS one_by_one FROM one_by_one ORDER BY attributes ->> 'email';
SELECT attributes AS at_once FROM at_once ORDER BY attributes ->> 'email';
SELECT attributes AS in_two_batches FROM persons;

CALL forget('apply_batch');
