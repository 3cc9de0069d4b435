SELECT erp_create_entity('limited', ARRAY['id']);
-- Expressions run under limits, which are settings. Each ends with MP010 and names its setting.
CREATE FUNCTION computing(expression text) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'contact', 'unique_ids', '["id"]'::jsonb,
        'fields', jsonb_build_array(jsonb_build_object('attribute', 'x', 'jsonataExpression', expression))));

SET erp_toolkit.expression_max_steps = 1000;
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('$map([1..1000], function($i) { $i * $i })'), 'Changed', '{}') $$) \gx
RESET erp_toolkit.expression_max_steps;
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('$map([1..1000], function($i) { $i * $i })'), 'Changed', '{}') $$) \gx

SET erp_toolkit.expression_timeout = '10ms';
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_map(computing('$reduce([1..10000], function($a, $b) { $a + $sum([1..1000]) })'), 'Changed', '{}') $$) \gx
RESET erp_toolkit.expression_timeout;

SET erp_toolkit.expression_max_depth = 10;
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(20))'), 'Changed', '{}') $$) \gx
RESET erp_toolkit.expression_max_depth;
SELECT state FROM failure($$ SELECT * FROM erp_map(computing('($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(20))'), 'Changed', '{}') $$);

SET erp_toolkit.expression_max_string_length = '1kB';
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('$pad("", 2000, "x") & "y"'), 'Changed', '{}') $$) \gx
RESET erp_toolkit.expression_max_string_length;

SET erp_toolkit.expression_max_array_length = 10;
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('[1..11]'), 'Changed', '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('$append(items, items)'), 'Changed', '{"items": [1, 2, 3, 4, 5, 6]}') $$) \gx
-- An array that is handed through is not built.
SELECT jsonb_array_length(attributes -> 'x') AS items FROM erp_map(computing('items'), 'Changed', '{"items": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}');
RESET erp_toolkit.expression_max_array_length;

SET erp_toolkit.expression_max_result_size = '1kB';
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('[1..1000]'), 'Changed', '{}') $$) \gx
RESET erp_toolkit.expression_max_result_size;

-- What an event may yield.
SET erp_toolkit.max_entities = 3;
SELECT count(*) FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "jsonataExpression": "items", "fields": []}'),
    'Changed', '{"items": [1, 2, 3]}');
SELECT * FROM failure($$ SELECT * FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "jsonataExpression": "items", "fields": []}'),
    'Changed', '{"items": [1, 2, 3, 4]}') $$) \gx
RESET erp_toolkit.max_entities;
SET erp_toolkit.max_relation_items = 3;
SELECT * FROM failure($$ SELECT * FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [
    {"attribute": "a", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "id", "field": "id"}]}]}},
    {"attribute": "b", "relations": {"jsonataExpression": "[1..3].{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"id\", \"constant\": $}]}"}}]}'),
    'Changed', '{"id": 1}') $$) \gx
RESET erp_toolkit.max_relation_items;

-- The memory of an event: what expressions build, what is handed through again and again, and what applying it takes.
SET erp_toolkit.max_memory = '1MB';
SELECT * FROM failure($$ SELECT * FROM erp_map(computing('$count($map([1..100], function($i) { $pad("", 20000 + $i, "x") }))'), 'Changed', '{}') $$) \gx
SELECT state, message, hint FROM failure($q$ SELECT * FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "jsonataExpression": "[1..100].$$",
    "fields": [{"attribute": "text", "field": "text"}]}'), 'Changed', jsonb_build_object('text', repeat('x', 20000))) $q$) \gx
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_map(computing('1'), 'Changed', to_jsonb('[' || repeat('1,', 100000) || '1]')) $$) \gx
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_map(computing('[' || repeat('a,', 10000) || 'a]'), 'Changed', '{}') $$) \gx
-- An event of a batch that takes too much does not stop the others.
SELECT event, action, error ->> 'message' AS message FROM erp_apply_batch(changed('{"entity_schema": "limited", "unique_ids": ["id"], "fields": [
    {"attribute": "id", "field": "id"}, {"attribute": "x", "jsonataExpression": "$count($map([1..n], function($i) { $pad(\"\", 20000 + $i, \"x\") }))"}]}'),
    'Changed', ARRAY['{"id": 1, "n": 1}', '{"id": 2, "n": 100}', '{"id": 3, "n": 2}']::jsonb[], on_error => 'continue') ORDER BY event;
RESET erp_toolkit.max_memory;
-- An expression that builds gigabytes, on a machine that takes its time
SET erp_toolkit.expression_timeout = '60s';
SELECT state, message FROM failure($$ SELECT * FROM erp_map(computing('$count($map([1..10000], function($i) { $pad("", 1000000 + $i, "x") }))'), 'Changed', '{}') $$);
RESET erp_toolkit.expression_timeout;

-- The size of a mapping and of an expression
SET erp_toolkit.max_mapping_size = '1kB';
SELECT * FROM failure(format('SELECT * FROM erp_map(%L, %L, %L)', computing('[' || repeat('a,', 500) || '1]'), 'Changed', '{}')) \gx
SELECT code, path, message, hint FROM erp_validate(computing('[' || repeat('a,', 500) || '1]')) \gx
RESET erp_toolkit.max_mapping_size;
-- One that was used before is looked at again.
SELECT count(*) FROM erp_map(computing('[' || repeat('a,', 600) || '1]'), 'Changed', '{}');
SET erp_toolkit.expression_max_length = '1kB';
SELECT * FROM failure(format('SELECT * FROM erp_map(%L, %L, %L)', computing('[' || repeat('a,', 600) || '1]'), 'Changed', '{}')) \gx
SELECT code, path, message, hint FROM erp_validate(computing('[' || repeat('a,', 600) || '1]')) WHERE severity = 'error' \gx
SET erp_toolkit.expression_max_length = '1MB';
SELECT count(*) FROM erp_map(computing('[' || repeat('a,', 40000) || '1]'), 'Changed', '{}');
RESET erp_toolkit.expression_max_length;

-- Endless recursion and endless loops end by themselves.
SELECT expression, state, message, hint
FROM unnest(ARRAY['($f := function($n) { 1 + $f($n) }; $f(1))', '($f := function($n) { $f($n) }; $f(1))',
                  '$pad("x", 1e9)', '[1..1e9]', '($f := function($s) { $f($s & $s) }; $f("xxxxxxxx"))']) WITH ORDINALITY AS e(expression, n),
     failure(format('SELECT * FROM erp_map(%L, %L, %L)', computing(expression), 'Changed', '{}'))
ORDER BY n;

-- statement_timeout and cancel work inside an expression.
SET erp_toolkit.expression_max_steps = 2147483647;
SET statement_timeout = '100ms';
SELECT * FROM erp_map(computing('($f := function($n) { $f($n + 1) }; $f(1))'), 'Changed', '{}');
RESET statement_timeout;
RESET erp_toolkit.expression_max_steps;
SELECT 'the session goes on' AS after_the_timeout;

-- Expressions that nest, or are long, beyond reason are problems of the mapping.
SELECT left(expression, 5) AS expression, state, left(detail, 250) AS detail
FROM unnest(ARRAY[repeat('(', 30000) || '1' || repeat(')', 30000), repeat('[', 30000) || '1' || repeat(']', 30000), repeat('-', 60000) || '1',
                  repeat('a.', 30000) || 'a', repeat('1+', 30000) || '1', repeat('a?', 30000) || '1', repeat('a', 70000)]) WITH ORDINALITY AS e(expression, n),
     failure(format('SELECT * FROM erp_map(%L, %L, %L)', computing(expression), 'Changed', '{}'))
ORDER BY n;
SELECT left(field, 9) AS field, state, left(detail, 250) AS detail
FROM unnest(ARRAY['$' || repeat('[?@.a', 30) || repeat(']', 30), '$' || repeat('.a', 600), '$' || repeat('.a', 400)]) WITH ORDINALITY AS f(field, n),
     failure(format('SELECT * FROM erp_map(%L, %L, %L)',
         changed(jsonb_build_object('entity_schema', 'contact', 'unique_ids', '["id"]'::jsonb,
             'fields', jsonb_build_array(jsonb_build_object('attribute', 'x', 'field', field)))), 'Changed', '{}'))
ORDER BY n;
-- A path that would visit too much of a payload
SELECT * FROM failure($$ SELECT * FROM erp_map(
    changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "x", "field": "$..[?@..[?@..a]]"}]}'),
    'Changed', (SELECT jsonb_object_agg('k' || n, '[[1]]'::jsonb) FROM generate_series(1, 5000) AS n)) $$) \gx

DROP FUNCTION computing;
DROP TABLE limited;
DELETE FROM erp.entity_type WHERE slug = 'limited';
