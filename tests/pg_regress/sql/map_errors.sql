-- An expression that fails names entity, attribute, expression and position, and never a value.
CREATE FUNCTION with_field(field jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'contact', 'unique_ids', '["id"]'::jsonb,
        'fields', jsonb_build_array('{"attribute": "id", "field": "id"}'::jsonb, '{"attribute": "x"}'::jsonb || field)));
CREATE FUNCTION expression(expression text) RETURNS jsonb LANGUAGE sql
    RETURN with_field(jsonb_build_object('jsonataExpression', expression));

-- Of a field
SELECT * FROM failure($$ SELECT * FROM erp_map(expression('first & '' '' & $sum(last)'), 'Changed', '{"first": "Ada", "last": "SECRET"}') $$) \gx
-- Of a switch of a field
SELECT * FROM failure($$ SELECT * FROM erp_map(with_field('{"constant": 1, "enabled": "name > 1"}'), 'Changed', '{"name": "SECRET"}') $$) \gx
-- Of an entry
SELECT * FROM failure($$ SELECT * FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [],
    "jsonataExpression": "$error(\"no customers in this event\")"}'), 'Changed', '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [],
    "enabled": "$number(active)"}'), 'Changed', '{"active": "SECRET"}') $$) \gx
-- Of the second entry; an expression of several lines
SELECT * FROM failure($$ SELECT * FROM erp_map(changed(
    '{"entity_schema": "account", "unique_ids": ["id"], "fields": []}',
    '{"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "jsonataExpression": "{\n  \"a\": 1,\n  \"b\": $lowercase(id)\n}"}]}'
    ), 'Changed', '{"id": 5}') $$) \gx
-- A long one is cut.
SELECT length(detail), right(detail, 80) AS end FROM failure($$ SELECT * FROM erp_map(expression('/* ' || repeat('long ', 200) || '*/ 1 + "a"'), 'Changed', '{}') $$) \gx

-- Of a relation, its identifiers, the items it yields
SELECT * FROM failure($$ SELECT * FROM erp_map(with_field('{"relations": {"items": [{"entity_schema": "account", "unique_ids": [
    {"attribute": "number", "jsonataExpression": "account + 1"}]}]}}'), 'Changed', '{"account": "SECRET"}') $$) \gx
SELECT item, state, message
FROM unnest(ARRAY['1', '{}', '{"entity_schema": ""}', '{"entity_schema": "account"}', '{"entity_schema": "account", "unique_ids": []}',
                  '{"entity_schema": "account", "unique_ids": [1]}', '{"entity_schema": "account", "unique_ids": [{"constant": 1}]}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "constant": 1}], "_tags": [1, {}]}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "constant": 1}], "_tags": 1}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "field": 1}]}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "field": "$["}]}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "jsonataExpression": 1}]}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "jsonataExpression": "1 +"}]}',
                  '{"entity_schema": "account", "unique_ids": [{"attribute": "a", "constant": 1}, {"attribute": "a", "constant": 2}]}']) WITH ORDINALITY AS i(item, n),
     failure(format('SELECT * FROM erp_map(%L, %L, %L)', with_field('{"relations": {"jsonataExpression": "items"}}'), 'Changed', format('{"items": [%s]}', item)))
ORDER BY n;
SELECT detail, hint FROM failure($$ SELECT * FROM erp_map(with_field('{"relations": {"jsonataExpression": "items"}}'), 'Changed', '{"items": [1]}') $$) \gx
-- Of a scope
SELECT * FROM failure($$ SELECT * FROM erp_map(changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [],
    "mode": "upsert-prune-scope-delete", "scope": {"scope_mode": "query", "query": [{"attribute": "city", "jsonataExpression": "city + 1"}]}}'),
    'Changed', '{"city": "SECRET"}') $$) \gx

-- No value of the payload in any message.
SELECT expression, state, message
FROM unnest(ARRAY['$number(s)', 's < 1', '$toMillis(s)', '$power(10, n)', '$power(n, n)', '$sqrt(-n)', '$formatBase(1, n)', '$formatNumber(1, s)',
                  '$parseInteger("1", s)', '$fromMillis(1, "[" & s & "]")', '$decodeUrl(s)', '$eval(s)', '$eval("1 + " & s)', '$pad("", n * 1e9)',
                  '{s: 1, s & "": 2}', '{n: 1}', '[1..n * 1e9]', '$substring(n, s)', '$map(n, s)', 's(1)', '$replace("a", /a/, n)', '$match(s, s)',
                  '$round(n, s)', '$formatInteger(n, s)', '$error(s)', '$sort([s, n])', '$reduce([s], function($a) { $a })',
                  '$encodeUrl(s & "\uD800")', 's ~> n', '$toMillis("2024", s)', '$split("a", "", -n)']) WITH ORDINALITY AS e(expression, n),
     failure(format('SELECT * FROM erp_map(%L, %L, %L)', expression(expression), 'Changed', '{"id": 1, "s": "%SECRET(1+", "n": 4711}'))
ORDER BY n;

-- jsonb stores no \u0000.
SELECT * FROM failure($$ SELECT * FROM erp_map(expression('"\u0000"'), 'Changed', '{}') $$) \gx
SELECT expression, state, message
FROM unnest(ARRAY['{"\u0000": 1}', '[["a\u0000b"]]', '$base64decode("AA==")', '$length("\u0000")']) AS expression,
     failure(format('SELECT * FROM erp_map(%L, %L, %L)', expression(expression), 'Changed', '{}'));

-- What is no data is nothing.
SELECT expression, attributes ? 'x' AS has_value
FROM unnest(ARRAY['function($x) { $x }', '$sum', '/ab+/']) AS expression,
     erp_map(expression(expression), 'Changed', '{"id": 1}');

DROP FUNCTION with_field, expression;
