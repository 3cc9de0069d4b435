-- What a payload may be: JSON of any kind, or a string that holds JSON.
CREATE FUNCTION by_id_or_first() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [
        {"attribute": "id", "field": "id"}, {"attribute": "id", "field": "$[0]"}]}'::jsonb);

SELECT payload, unique_identifiers
FROM (VALUES (1, '{"id": 1}'::jsonb), (2, to_jsonb('{"id": 2}'::text)), (3, to_jsonb(' [3] '::text)), (4, '[4, 5]'),
             (5, '[]'), (6, '5'), (7, 'true'), (8, 'null'), (9, to_jsonb('"a string in a string"'::text))) AS v(n, payload)
LEFT JOIN LATERAL erp_map(by_id_or_first(), 'Changed', payload) ON true
ORDER BY n;
-- Read as PostgreSQL reads JSON: the last of equal keys wins, escapes are characters, numbers stay exact.
SELECT unique_identifiers
FROM unnest(ARRAY['{"id": 1, "id": 12345678901234567890.10}', '{"id": "\u00e9 \ud83d\ude00 \" \\ \n"}', '{"id": 1e3}']) AS text,
     erp_map(by_id_or_first(), 'Changed', to_jsonb(text));

-- Strings that hold no JSON. The message tells where, never what.
SELECT text, state, message, detail
FROM unnest(ARRAY['', 'SECRET', '{"id": }', '{"id": 1} 2', E'{\n  "id": 1,\n}', '{"id": "\ud800"}', '{"id": "\u0000"}', '{"id": 01}', '{"id": 1e999999}']) WITH ORDINALITY AS p(text, n),
     failure(format('SELECT * FROM erp_map(by_id_or_first(), %L, to_jsonb(%L::text))', 'Changed', text))
ORDER BY n;

-- Nested 10,000 levels deep. Keys, singular paths and most expressions do not go down there.
CREATE FUNCTION nested(depth int) RETURNS text LANGUAGE sql
    RETURN format('{"id": 1, "deep": %s0%s}', repeat('[', depth), repeat(']', depth));
CREATE FUNCTION reading(deep jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'contact', 'unique_ids', '["id"]'::jsonb, 'fields', jsonb_build_array(
        '{"attribute": "id", "field": "id"}'::jsonb, '{"attribute": "deep"}'::jsonb || deep)));
SELECT field, attributes -> 'deep' = nested(10000)::jsonb -> 'deep' AS is_whole
FROM unnest(ARRAY['{"field": "deep"}', '{"field": "$.deep"}', '{"jsonataExpression": "deep"}']::jsonb[]) AS field,
     erp_map(reading(field), 'Changed', nested(10000)::jsonb);
SELECT * FROM failure($$ SELECT * FROM erp_map(reading('{"field": "$..id"}'), 'Changed', nested(10000)::jsonb) $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_map(reading('{"jsonataExpression": "**.id"}'), 'Changed', nested(10000)::jsonb) $$) \gx
-- A string that holds JSON may nest less.
SELECT state, message, detail
FROM unnest(ARRAY[100, 10000, 100000]) AS depth,
     failure(format('SELECT * FROM erp_map(reading(%L), %L, to_jsonb(nested(%s)))', '{"field": "deep"}', 'Changed', depth))
ORDER BY depth;
-- What PostgreSQL itself cannot read is its own error.
SELECT state, message FROM failure($$ SELECT * FROM erp_map(reading('{"field": "deep"}'), 'Changed', nested(100000)::jsonb) $$);

DROP FUNCTION by_id_or_first, nested, reading;
