-- The entries of an event: which items each has, whether it counts, what it prunes.
-- Entries: one item or many, switched on or off after their expression; several of one schema.
CREATE FUNCTION meters(more jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "meter", "unique_ids": ["number"],
                     "fields": [{"attribute": "number", "jsonataExpression": "number ? number : $"}]}'::jsonb || more);
SELECT n, unique_identifiers
FROM (VALUES
    (1, '{"jsonataExpression": "meters"}'::jsonb),
    (2, '{"jsonataExpression": "meters[0]"}'),
    (3, '{"jsonataExpression": "meters.number"}'),
    (4, '{"jsonataExpression": "nowhere"}'),
    (5, '{"jsonataExpression": "[]"}'),
    (6, '{"jsonataExpression": "null"}'),
    (7, '{"jsonataExpression": "meters", "enabled": "$count($) = 2"}'),
    (8, '{"jsonataExpression": "meters[kind = ''water'']", "enabled": "$count($) = 0"}'),
    (9, '{"jsonataExpression": "meters", "enabled": "nowhere"}'),
    (10, '{"jsonataExpression": "$error(''never asked'')", "enabled": false}'),
    (11, '{"enabled": "$count($) > 0"}')
) AS v(n, more)
LEFT JOIN LATERAL erp_map(meters(more), 'Changed', '{"number": "M-0", "meters": [{"number": "M-1"}, {"number": "M-2"}]}') ON true
ORDER BY n, unique_identifiers ->> 'number';

SELECT * FROM erp_map('{"entities": [
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "buyer"}]},
    {"entity_schema": "contact", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "seller"}], "mode": "delete"},
    {"entity_schema": "order", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "order"}], "mode": "purge"}
]}', 'any name will do', '{"buyer": 1, "seller": 2, "order": 3}');

-- Pruning: a last row with the scope, read from the payload as it came; none when its value is missing.
CREATE FUNCTION pruning(mode text, scope jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'meter', 'unique_ids', '["number"]'::jsonb, 'mode', mode, 'scope', scope,
        'jsonataExpression', 'meters', 'fields', '[{"attribute": "number", "field": "number"}]'::jsonb));
SELECT m.*
FROM (VALUES
    (1, 'upsert-prune-scope-delete', '{"scope_mode": "relations", "schema": "contract", "unique_ids": [{"attribute": "number", "field": "contract"}]}'::jsonb),
    (2, 'upsert-prune-scope-purge', '{"scope_mode": "query", "query": [{"attribute": "contract", "field": "$.contract"}, {"attribute": "kind", "constant": "gas"}]}'),
    (3, 'upsert-prune-scope-purge', '{"scope_mode": "query", "query": [{"attribute": "contract", "jsonataExpression": "nowhere"}]}')
) AS v(n, mode, scope),
     erp_map(pruning(mode, scope), 'Changed', '{"contract": "K-1", "meters": [{"number": "M-1"}]}') WITH ORDINALITY AS m
ORDER BY n, ordinality;

-- Without items there is the scope alone; a disabled entry prunes nothing.
SELECT * FROM erp_map(pruning('upsert-prune-scope-delete', '{"scope_mode": "query", "query": [{"attribute": "contract", "field": "contract"}]}'),
                      'Changed', '{"contract": "K-1"}');
SELECT * FROM erp_map(jsonb_set(pruning('upsert-prune-scope-delete', '{"scope_mode": "query", "query": [{"attribute": "contract", "field": "contract"}]}'),
                                '{mapping,events,Changed,entities,0,enabled}', 'false'),
                      'Changed', '{"contract": "K-1"}');

DROP FUNCTION meters, pruning;
