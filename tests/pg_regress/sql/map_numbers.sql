-- Numbers of a payload stay as they came; arithmetic alone is done in double precision.
CREATE FUNCTION invoice(expression text) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'invoice', 'unique_ids', '["id"]'::jsonb,
        'fields', jsonb_build_array(jsonb_build_object('attribute', 'id', 'jsonataExpression', expression))));

-- By key, by path, through an expression.
SELECT jsonb_pretty(attributes) FROM erp_map(changed('{
    "entity_schema": "invoice", "unique_ids": ["id"], "fields": [
        {"attribute": "id", "field": "id"},
        {"attribute": "amount", "field": "$.amount"},
        {"attribute": "all amounts", "field": "$..amount"},
        {"attribute": "id again", "jsonataExpression": "id"},
        {"attribute": "object", "jsonataExpression": "{\"price\": amount, \"all\": $append(amount, id)}"},
        {"attribute": "tiny", "jsonataExpression": "tiny"},
        {"attribute": "constant", "constant": 1.10}]
}'), 'Changed', '{"id": 12345678901234567890, "amount": 1.10, "tax": {"amount": 0.10}, "tiny": 0.000000000000000000010}');

-- Beyond double precision: by key or path as it came, an expression cannot read it.
SELECT (attributes ->> 'key')::numeric = 1e400 AS key, (attributes ->> 'path')::numeric = 1e400 AS path, attributes ->> 'id' AS id
FROM erp_map(changed('{"entity_schema": "invoice", "unique_ids": ["id"], "fields": [
    {"attribute": "id", "jsonataExpression": "id"}, {"attribute": "key", "field": "huge"}, {"attribute": "path", "field": "$..huge"}]
}'), 'Changed', '{"id": 1, "huge": 1e400}');
SELECT * FROM failure($$ SELECT * FROM erp_map(invoice('huge'), 'Changed', '{"huge": 1e400}') $$) \gx

-- Arithmetic
SELECT expression, attributes -> 'x' AS result
FROM unnest(ARRAY['0.1 + 0.2', 'amount * 2', '$sum([amount, amount])', '$round(2.5)', '1e21 / 1e3', '-0', '1e3', '5e-7']) WITH ORDINALITY AS e(expression, n),
     erp_map(changed(jsonb_build_object('entity_schema', 'invoice', 'unique_ids', '["id"]'::jsonb,
         'fields', jsonb_build_array(jsonb_build_object('attribute', 'x', 'jsonataExpression', expression)))), 'Changed', '{"amount": 1.10}')
ORDER BY n;
SELECT * FROM failure($$ SELECT * FROM erp_map(invoice('1 / 0'), 'Changed', '{}') $$) \gx

-- A number that was computed beyond 2^53 identifies nothing for certain: digits are lost.
SELECT expression, state, message, hint
FROM unnest(ARRAY['9007199254740990 + 1', 'small * 1e18', 'id * 10', 'id + 1', '$sum([id, 1])', '$power(2, 60)']) WITH ORDINALITY AS e(expression, n),
     failure(format('SELECT * FROM erp_map(invoice(%L), %L, %L)', expression, 'Changed', '{"id": 12345678901234567890, "small": 3}'))
ORDER BY n;
-- As a value it is fine.
SELECT attributes ->> 'count' AS count FROM erp_map(changed('{"entity_schema": "invoice", "unique_ids": ["id"], "fields": [
    {"attribute": "id", "constant": 1}, {"attribute": "count", "jsonataExpression": "$power(2, 60)"}]}'), 'Changed', '{}');

DROP FUNCTION invoice;
