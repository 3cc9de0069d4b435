-- Array operations, wherever their value comes from, on what is stored.
CREATE SCHEMA apply_operations;
SET search_path = apply_operations, public;
SELECT erp_create_entity('contact', ARRAY['number']);
CREATE FUNCTION contact_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "constant": 1}, {"attribute": "tags", "field": "tags"}]}'::jsonb);
CREATE FUNCTION tags_after(tags jsonb, OUT action text, OUT tags_then jsonb) LANGUAGE plpgsql AS $$
BEGIN
    action := (SELECT a.action FROM erp_apply(contact_mapping(), 'Changed', jsonb_build_object('tags', tags)) AS a);
    tags_then := (SELECT attributes -> 'tags' FROM contact WHERE number = '1');
END
$$;

-- One after the other, on one entity, which is not there at first.
SELECT n, tags, action, tags_then
FROM unnest(ARRAY['{"_append": ["a"]}', '{"_append": ["a", "b"]}', '{"_append": "c"}', '{"_append": []}', '{"_append": null}',
                  '{"_append_all": ["d"]}', '{"_append_unique": ["d", "e", "e"]}', '{"_append_unique": ["a", "b"]}', '{"_append": [["nested"], {"x": 1}, null]}',
                  '{"_set": ["only"]}', '{"_set": "one"}', '{"_set": []}', '{"_append": ["from empty"]}', 'null', '{"_append": ["from null"]}', '{"_set": null}',
                  '{"_append": ["a"], "_set": ["b"]}']::jsonb[]) WITH ORDINALITY AS t(tags, n),
     tags_after(tags)
ORDER BY n;
-- It is data now: an object, to which nothing can be appended. Nor to a scalar.
SELECT action FROM tags_after('"text"');
SELECT operation, f.*
FROM unnest(ARRAY['{"_append": ["a"]}', '{"_append_all": ["a"]}', '{"_append_unique": ["a"]}', '{"_append": []}', '{"_set": ["a"]}']) WITH ORDINALITY AS o(operation, n),
     failure(format('SELECT * FROM erp_apply(contact_mapping(), %L, %L)', 'Changed', format('{"tags": %s}', operation))) AS f
ORDER BY n;
SELECT attributes FROM contact;
SELECT f.*
FROM unnest(ARRAY['{"x": 1, "y": 2}', 'true', '1']::jsonb[]) AS tags, tags_after(tags),
     failure(format('SELECT * FROM erp_apply(contact_mapping(), %L, %L) WHERE %L IS NOT NULL', 'Changed', '{"tags": {"_append": ["a"]}}', action)) AS f;

-- A relation is no array, an array no relation.
SELECT action FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "constant": 1}, {"attribute": "tags", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "number", "constant": 1}]}]}}]}'::jsonb), 'Changed', '{}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(contact_mapping(), 'Changed', '{"tags": {"_append": ["a"]}}') $$) \gx
SELECT action FROM tags_after('["a"]');
SELECT * FROM failure($$ SELECT * FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "constant": 1}, {"attribute": "tags", "relations": {"operation": "_append", "items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "constant": 1}]}]}}]}'::jsonb), 'Changed', '{}') $$) \gx

-- From a constant, from an expression, whose lists of one are unwrapped
SELECT action FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "constant": 2},
    {"attribute": "constant", "constant": {"_append": ["a", "b"]}},
    {"attribute": "expression", "jsonataExpression": "{\"_append\": persons[role = ''OWNER''].name}"},
    {"attribute": "unwrapped", "jsonataExpression": "{\"_set\": persons[role = ''USER''].name}"},
    {"attribute": "nothing", "jsonataExpression": "{\"_append\": persons[role = ''none''].name}"},
    {"attribute": "nested", "constant": {"list": {"_append": ["a"]}}},
    {"attribute": "almost", "constant": {"_apend": ["a"]}}]}'::jsonb), 'Changed',
    '{"persons": [{"name": "A", "role": "OWNER"}, {"name": "B", "role": "OWNER"}, {"name": "C", "role": "USER"}]}');
SELECT jsonb_pretty(attributes) FROM contact WHERE number = '2';

-- An entity written by an event that appends nothing at all is unchanged.
SELECT action FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "constant": 2}, {"attribute": "constant", "constant": {"_append": []}},
    {"attribute": "expression", "constant": {"_append_unique": ["A"]}}, {"attribute": "new", "constant": {"_append": []}}]}'::jsonb), 'Changed', '{}');
-- An entity that is new, and only appends nothing.
SELECT action FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "constant": 3}, {"attribute": "tags", "constant": {"_append": []}}, {"attribute": "more", "constant": {"_set": []}}]}'::jsonb), 'Changed', '{}');
SELECT attributes FROM contact WHERE number = '3';

CALL forget('apply_operations');
