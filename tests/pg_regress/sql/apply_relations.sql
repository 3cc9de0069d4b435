-- Relations as they are applied: resolved to ids, in any order, to new entities and to old ones.
CREATE SCHEMA apply_relations;
SET search_path = apply_relations, public;

-- A node, and what it links to next: by default the nodes that the payload's "next" names.
CREATE FUNCTION node_mapping(operation text DEFAULT '_set') RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'node', 'unique_ids', '["name"]'::jsonb, 'jsonataExpression', 'nodes',
        'fields', jsonb_build_array(
            '{"attribute": "name", "field": "name"}'::jsonb,
            jsonb_build_object('attribute', 'next', 'relations', jsonb_build_object('operation', operation, 'jsonataExpression',
                'next.{"entity_schema": "node", "unique_ids": [{"attribute": "name", "constant": $}], "_tags": [$uppercase($)]}')))));
SELECT erp_create_entity('node', ARRAY['name']);
CREATE VIEW nodes AS
SELECT name, stub, (SELECT array_agg(to_.name || coalesce(' ' || (item ->> '_tags'), '') ORDER BY n)
                    FROM jsonb_array_elements(node.attributes #> '{next,$relation}') WITH ORDINALITY AS items(item, n)
                    JOIN node AS to_ ON to_.id = (item ->> 'entity_id')::uuid) AS next
FROM node ORDER BY name;

-- Forwards, backwards, to itself, in a circle: each entity once, no stub of what the event writes itself.
SELECT action, unique_identifiers FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [
    {"name": "a", "next": ["b"]}, {"name": "b", "next": ["c"]}, {"name": "c", "next": ["a", "c"]}]}');
SELECT * FROM nodes;
SELECT action, unique_identifiers FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [
    {"name": "a", "next": ["b"]}, {"name": "b", "next": ["c"]}, {"name": "c", "next": ["a", "c"]}]}');
-- To what is not there: a stub, once, however often it is named.
SELECT action, unique_identifiers FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [
    {"name": "a", "next": ["x", "x"]}, {"name": "b", "next": ["y", "x"]}, {"name": "d", "next": "x"}]}');
SELECT * FROM nodes;
-- Its own event completes it, and the links stay.
SELECT action, unique_identifiers FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [{"name": "x", "next": ["a"]}]}');
SELECT * FROM nodes;

-- Set replaces; the attribute is left alone when the source is missing, cleared by an empty list, null by null.
CREATE FUNCTION next_of(name text) RETURNS jsonb LANGUAGE sql VOLATILE
    AS $$ SELECT readable(attributes -> 'next') FROM erp_find('node', jsonb_build_object('name', name)) $$;
CREATE PROCEDURE reset_a() LANGUAGE sql
    AS $$ SELECT * FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [{"name": "a", "next": ["b", "c"]}]}') $$;
CREATE FUNCTION a_after(mapping jsonb, payload jsonb, OUT action text, OUT next jsonb) LANGUAGE plpgsql AS $$
BEGIN
    CALL reset_a();
    action := (SELECT string_agg(e.action, ', ') FROM erp_apply(mapping, 'Changed', payload) AS e);
    next := next_of('a');
END
$$;
SELECT payload, action, next
FROM unnest(ARRAY['{"nodes": [{"name": "a", "next": ["d"]}]}', '{"nodes": [{"name": "a", "next": ["c", "b"]}]}', '{"nodes": [{"name": "a"}]}',
                  '{"nodes": [{"name": "a", "next": []}]}']::jsonb[]) WITH ORDINALITY AS p(payload, n),
     a_after(node_mapping(), payload)
ORDER BY n;
SELECT source, action, next
FROM unnest(ARRAY['{"items": []}', '{"jsonataExpression": "[]"}', '{"jsonataExpression": "null"}', '{"jsonataExpression": "nowhere"}',
                  '{"items": [{"entity_schema": "node", "unique_ids": [{"attribute": "name", "field": "nowhere"}]}]}',
                  '{"operation": "_append", "items": []}',
                  '{"operation": "_append", "items": [{"entity_schema": "node", "unique_ids": [{"attribute": "name", "constant": "b"}]}]}',
                  '{"operation": "_append_unique", "items": [{"entity_schema": "node", "unique_ids": [{"attribute": "name", "constant": "b"}]}, {"entity_schema": "node", "unique_ids": [{"attribute": "name", "constant": "d"}]}]}']::jsonb[]) WITH ORDINALITY AS s(source, n),
     a_after(changed(jsonb_build_object('entity_schema', 'node', 'unique_ids', '["name"]'::jsonb, 'fields', jsonb_build_array(
         '{"attribute": "name", "field": "name"}'::jsonb, jsonb_build_object('attribute', 'next', 'relations', source)))), '{"name": "a"}')
ORDER BY n;
-- Appended to: in order, duplicates kept; to a new entity and to null it is the list.
CALL reset_a();
SELECT action, unique_identifiers FROM erp_apply(node_mapping('_append'), 'Changed', '{"nodes": [
    {"name": "a", "next": ["c", "d"]}, {"name": "new", "next": ["new", "a"]}, {"name": "a", "next": ["new"]}]}');
SELECT * FROM nodes WHERE name IN ('a', 'new');

-- Tags are the relation's, replaced with it; another order or other tags are a change.
CREATE FUNCTION tagging(tags jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'node', 'unique_ids', '["name"]'::jsonb, 'fields', jsonb_build_array(
        '{"attribute": "name", "constant": "a"}'::jsonb,
        jsonb_build_object('attribute', 'next', 'relations', jsonb_build_object('items', jsonb_build_array(
            jsonb_strip_nulls(jsonb_build_object('entity_schema', 'node', '_tags', tags, 'unique_ids', '[{"attribute": "name", "constant": "b"}]'::jsonb))))))));
SELECT tags, action
FROM unnest(ARRAY[NULL, '["X"]', '["X"]', '["X", "Y"]', '["Y", "X"]', '[]', NULL]::jsonb[]) WITH ORDINALITY AS t(tags, n),
     erp_apply(tagging(tags), 'Changed', '{}')
ORDER BY n;

-- Several targets of one attribute, of different types; the whole key must match.
SELECT erp_create_entity('person', ARRAY['first', 'last'], for_upsert => false);
SELECT entity_slug, action, unique_identifiers FROM erp_apply(changed('{"entity_schema": "node", "unique_ids": ["name"], "fields": [
    {"attribute": "name", "constant": "p"},
    {"attribute": "next", "relations": {"items": [
        {"entity_schema": "person", "unique_ids": [{"attribute": "first", "constant": "Ada"}, {"attribute": "last", "constant": "Byron"}]},
        {"entity_schema": "node", "unique_ids": [{"attribute": "name", "constant": "a"}]},
        {"entity_schema": "person", "unique_ids": [{"attribute": "last", "constant": "Byron"}, {"attribute": "first", "constant": "Ada"}]},
        {"entity_schema": "person", "unique_ids": [{"attribute": "first", "constant": "Ada"}, {"attribute": "last", "constant": "King"}]}]}}
]}'::jsonb), 'Changed', '{}');
SELECT next_of('p');

-- What a type does about targets that do not exist: create a stub, skip the item, or fail.
UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'node';
SELECT action, unique_identifiers FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [{"name": "s", "next": ["a", "lost", "b"]}]}');
SELECT * FROM nodes WHERE name IN ('s', 'lost');
-- All of them missing: left alone.
SELECT action FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [{"name": "s", "next": ["lost"]}]}');
SELECT action FROM erp_apply(node_mapping('_append'), 'Changed', '{"nodes": [{"name": "s", "next": ["lost", "c"]}]}');
SELECT * FROM nodes WHERE name IN ('s', 'lost');
-- An entity of the same event is not missing, wherever it stands.
SELECT action, unique_identifiers FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [{"name": "s", "next": ["late"]}, {"name": "late"}]}');
SELECT * FROM nodes WHERE name IN ('s', 'late');
UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'node';
SELECT * FROM failure($$ SELECT * FROM erp_apply(node_mapping(), 'Changed', '{"nodes": [{"name": "e", "next": ["a"]}, {"name": "s", "next": ["a", "lost"]}]}') $$) \gx
SELECT * FROM nodes WHERE name IN ('s', 'e', 'lost');
UPDATE erp.entity_type SET on_missing = 'create' WHERE slug = 'node';

-- A relation that is resolved already, as a constant or a copied value, is taken when all it names exists.
SELECT id AS a FROM node WHERE name = 'a' \gset
SELECT action FROM erp_apply(changed('{"entity_schema": "node", "unique_ids": ["name"], "fields": [
    {"attribute": "name", "constant": "r"}, {"attribute": "next", "field": "next"}]}'::jsonb), 'Changed',
    jsonb_build_object('next', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object('entity_id', :'a', '_schema', 'node', '_tags', '["T"]'::jsonb)))));
SELECT * FROM nodes WHERE name = 'r';
SELECT value, state, message
FROM unnest(ARRAY['{"$relation": [{"entity_id": "00000000-0000-0000-0000-000000000000", "_schema": "node"}]}',
                  '{"$relation": [{"entity_id": "no uuid", "_schema": "node"}]}',
                  '{"$relation": [{"entity_id": "00000000-0000-0000-0000-000000000000", "_schema": "nod"}]}',
                  '{"$relation": [{"entity_id": "00000000-0000-0000-0000-000000000000"}]}',
                  '{"$relation": [{"_schema": "node"}]}', '{"$relation": [{"entity_id": 7, "_schema": "node"}]}', '{"$relation": ["a"]}',
                  '{"$relation": {"_append": [{"entity_id": "00000000-0000-0000-0000-000000000000", "_schema": "node"}]}}',
                  '{"$relation": {"_set": {"entity_id": "00000000-0000-0000-0000-000000000000", "_schema": "node"}}}']) WITH ORDINALITY AS v(value, n),
     failure(format('SELECT * FROM erp_apply(%L, %L, %L)', changed(jsonb_build_object('entity_schema', 'node', 'unique_ids', '["name"]'::jsonb, 'fields', jsonb_build_array(
         '{"attribute": "name", "constant": "r"}'::jsonb, jsonb_build_object('attribute', 'next', 'constant', value::jsonb)))), 'Changed', '{}'))
ORDER BY n;
-- An empty one names nothing; an object with more keys is data.
SELECT value, a.action
FROM unnest(ARRAY['{"$relation": []}', '{"$relation": [], "more": 1}', '{"$relation": "text"}']::jsonb[]) WITH ORDINALITY AS v(value, n),
     erp_apply(changed(jsonb_build_object('entity_schema', 'node', 'unique_ids', '["name"]'::jsonb, 'fields', jsonb_build_array(
         '{"attribute": "name", "constant": "r"}'::jsonb, jsonb_build_object('attribute', 'next', 'constant', value)))), 'Changed', '{}') AS a
ORDER BY n;

-- An unresolved one that a payload brings along is no relation of the mapping.
SELECT f.*
FROM failure(format('SELECT * FROM erp_apply(%L, %L, %L)', changed('{"entity_schema": "node", "unique_ids": ["name"], "fields": [
         {"attribute": "name", "constant": "r"}, {"attribute": "next", "field": "next"}]}'::jsonb), 'Changed',
         '{"next": {"$relation": {"_set": [{"$entity_unique_ids": {"name": "a"}, "_schema": "node"}]}}}')) AS f \gx

CALL forget('apply_relations');
