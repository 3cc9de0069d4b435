-- A type whose entities are upserted by either of two keys: a batch does what its events do one by one, whoever has, gets or leaves which key.
CREATE SCHEMA apply_keys;
SET search_path = apply_keys, public;
SELECT erp_create_entity('person', ARRAY['number']);
SELECT erp_create_entity('person', ARRAY['email']);
CREATE FUNCTION person_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed(
        '{"entity_schema": "person", "unique_ids": ["number"], "enabled": "by = \"number\"", "fields": [
            {"attribute": "number", "field": "number"}, {"attribute": "email", "field": "email"}, {"attribute": "seen", "jsonataExpression": "{\"_append\": n}"}]}'::jsonb,
        '{"entity_schema": "person", "unique_ids": ["email"], "enabled": "by = \"email\"", "fields": [
            {"attribute": "number", "field": "number"}, {"attribute": "email", "field": "email"}, {"attribute": "seen", "jsonataExpression": "{\"_append\": n}"}]}'::jsonb);
-- The persons after the events, one by one or at once, each event's outcome beside.
CREATE FUNCTION after_events(at_once boolean, before jsonb[], events jsonb[], OUT outcomes text[], OUT persons jsonb) LANGUAGE plpgsql AS $$
DECLARE
    event jsonb;
BEGIN
    TRUNCATE person;
    PERFORM erp_apply(person_mapping(), 'Changed', e) FROM unnest(before) AS e;
    IF at_once THEN
        BEGIN
            outcomes := ARRAY(SELECT coalesce(error ->> 'sqlstate', action) FROM erp_apply_batch(person_mapping(), 'Changed', events, 'continue'));
        EXCEPTION WHEN OTHERS THEN
            outcomes := ARRAY['the call fails with ' || SQLSTATE];
        END;
    ELSE
        FOREACH event IN ARRAY events LOOP
            BEGIN
                outcomes := outcomes || (SELECT action FROM erp_apply(person_mapping(), 'Changed', event));
            EXCEPTION WHEN OTHERS THEN
                outcomes := outcomes || SQLSTATE::text;
            END;
        END LOOP;
    END IF;
    persons := (SELECT jsonb_agg(attributes ORDER BY attributes::text) FROM person);
END
$$;
CREATE TABLE story (n serial PRIMARY KEY, title text, before jsonb[], events jsonb[]);
INSERT INTO story (title, before, events) VALUES
    ('found by either key', '{}',
     ARRAY['{"n": 1, "by": "number", "number": 1, "email": "a"}', '{"n": 2, "by": "email", "email": "a"}', '{"n": 3, "by": "number", "number": 1}']::jsonb[]),
    ('created by a key that it does not keep', '{}',
     ARRAY['{"n": 1, "by": "email", "number": 1, "email": "a"}', '{"n": 2, "by": "number", "number": 1, "email": "b"}']::jsonb[]),
    ('created by a key that it gives up', '{}',
     ARRAY['{"n": 1, "by": "email", "number": 1, "email": "a"}', '{"n": 2, "by": "number", "number": 1, "email": null}', '{"n": 3, "by": "email", "email": "a"}']::jsonb[]),
    ('a key that was given up is another''s', ARRAY['{"n": 0, "by": "number", "number": 1, "email": "a"}']::jsonb[],
     ARRAY['{"n": 1, "by": "number", "number": 1, "email": "b"}', '{"n": 2, "by": "email", "email": "a"}']::jsonb[]),
    ('two of them exchange it by a third', ARRAY['{"n": 0, "by": "number", "number": 1, "email": "a"}', '{"n": 0, "by": "number", "number": 2, "email": "b"}']::jsonb[],
     ARRAY['{"n": 1, "by": "number", "number": 1, "email": "c"}', '{"n": 2, "by": "number", "number": 2, "email": "a"}', '{"n": 3, "by": "number", "number": 1, "email": "b"}']::jsonb[]),
    ('a new person with the key of one that is there', ARRAY['{"n": 0, "by": "email", "email": "a"}']::jsonb[],
     ARRAY['{"n": 1, "by": "number", "number": 1, "email": "a"}', '{"n": 2, "by": "number", "number": 2}']::jsonb[]),
    ('a person that takes the key of a new one', ARRAY['{"n": 0, "by": "email", "email": "a"}']::jsonb[],
     ARRAY['{"n": 1, "by": "number", "number": 1}', '{"n": 2, "by": "email", "email": "a", "number": 1}']::jsonb[]),
    ('two new persons that claim one key', '{}',
     ARRAY['{"n": 1, "by": "number", "number": 1}', '{"n": 2, "by": "email", "email": "a", "number": 1}', '{"n": 3, "by": "email", "email": "b"}']::jsonb[]);
SELECT s.n, title, at_once, outcomes, persons
FROM story AS s, unnest(ARRAY[false, true]) AS at_once, after_events(at_once, before, events)
ORDER BY n, at_once;

CALL forget('apply_keys');
