-- Identifiers compare as text, exactly; what identifies nothing is an error.
CREATE SCHEMA apply_identifiers;
SET search_path = apply_identifiers, public;
SELECT erp_create_entity('item', ARRAY['id']);
SELECT erp_create_entity('pair', ARRAY['a', 'b']);
CREATE FUNCTION item_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "item", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id"}]}'::jsonb);

-- One key, in other words: the first is created, the others find it.
SELECT id, action
FROM unnest(ARRAY['7', '7.0', '"7"', '7e0', '70e-1', '-0', '0', '0.00', '"0"', '1e3', '1000', '"1000"', '12345678901234567890', '"12345678901234567890"',
                  'true', '"true"', '1.10', '1.1', '"1.1"']::jsonb[]) WITH ORDINALITY AS v(id, n),
     erp_apply(item_mapping(), 'Changed', jsonb_build_object('id', id))
ORDER BY n;
-- It is not rewritten for another way to write the same key.
SELECT attributes, id_b80bb774 AS key FROM item ORDER BY key;
-- Each of these is a key of its own.
SELECT count(DISTINCT action) = 1 AS all_created, count(*) AS keys
FROM unnest(ARRAY['"07"', '" 7"', '"7 "', '"7.0"', '"a"', '"A"', '"ä"', '"a\u0308"', '"ß"', '"ss"', '"null"', '" "', '"1e3"', '-7', '7.000000000000000000000000000001', 'false',
                  '"😀"', '"\u0001"', '"\t"', '"''"', '"\"\\"']::jsonb[]) AS id,
     erp_apply(item_mapping(), 'Changed', jsonb_build_object('id', id));
SELECT count(*) FROM item;

-- Missing, null, empty, no scalar, too long
SELECT payload, f.*
FROM unnest(ARRAY['{}', '{"id": null}', '{"id": ""}', '{"id": []}', '{"id": {"a": 1}}', '{"id": ["7"]}']) WITH ORDINALITY AS p(payload, n),
     failure(format('SELECT * FROM erp_apply(item_mapping(), %L, %L)', 'Changed', payload)) AS f
ORDER BY n;
SELECT text, f.*
FROM (VALUES (1, '1000 bytes', repeat('x', 1000)), (2, '1001 bytes', repeat('x', 1001)), (3, '500 characters of 2 bytes', repeat('ä', 500)), (4, '501 of them', repeat('ä', 501))) AS v(n, text, id),
     failure(format('SELECT * FROM erp_apply(item_mapping(), %L, %L)', 'Changed', jsonb_build_object('id', id))) AS f
ORDER BY n;
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(item_mapping(), 'Changed', '{"id": 1e1000}') $$);
SELECT state FROM failure($$ SELECT * FROM erp_apply(item_mapping(), 'Changed', '{"id": 1e990}') $$);
SELECT action FROM erp_apply(item_mapping(), 'Changed', '{"id": 1e-990}');

-- Each part of a key must be there: it is never looked up by the rest.
CREATE FUNCTION pair_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "pair", "unique_ids": ["b", "a"], "fields": [{"attribute": "a", "field": "a"}, {"attribute": "b", "field": "b"}, {"attribute": "c", "field": "c"}]}'::jsonb);
SELECT action, unique_identifiers FROM erp_apply(pair_mapping(), 'Changed', '{"a": 1, "b": 2}');
SELECT action FROM erp_apply(pair_mapping(), 'Changed', '{"a": 2, "b": 1}');
SELECT action FROM erp_apply(pair_mapping(), 'Changed', '{"a": "1", "b": "2", "c": 3}');
SELECT payload, state, message
FROM unnest(ARRAY['{"a": 1}', '{"b": 2}', '{"a": 1, "b": null}', '{}']) WITH ORDINALITY AS p(payload, n),
     failure(format('SELECT * FROM erp_apply(pair_mapping(), %L, %L)', 'Changed', payload))
ORDER BY n;
-- Keys whose parts look alike when put together
SELECT count(DISTINCT entity_id) AS entities
FROM unnest(ARRAY['{"a": "x", "b": "y,z"}', '{"a": "x,y", "b": "z"}', '{"a": "x\u0001y", "b": "z"}', '{"a": "x", "b": "y\u0001z"}', '{"a": "xy", "b": "z"}', '{"a": "x", "b": "yz"}']::jsonb[]) AS payload,
     erp_apply(pair_mapping(), 'Changed', payload);

-- An identifier that no field maps, or that relations map, is missing.
SELECT mapping, state, message
FROM unnest(ARRAY['{"entity_schema": "item", "unique_ids": ["id"], "fields": [{"attribute": "name", "field": "id"}]}',
                  '{"entity_schema": "item", "unique_ids": ["id"], "fields": [{"attribute": "id", "field": "id", "enabled": false}]}',
                  '{"entity_schema": "item", "unique_ids": ["id"], "fields": [{"attribute": "id", "relations": {"items": [
                      {"entity_schema": "item", "unique_ids": [{"attribute": "id", "field": "id"}]}]}}]}']) WITH ORDINALITY AS m(mapping, n),
     failure(format('SELECT * FROM erp_apply(changed(%L::jsonb), %L, %L)', mapping, 'Changed', '{"id": 7}'))
ORDER BY n;
-- Nor is an operation one.
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(item_mapping(), 'Changed', '{"id": {"_set": ["7"]}}') $$);

-- A relation's identifiers: by the same rules; what is blank is no item, what is no scalar an error.
CREATE FUNCTION pair_of(id jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'pair', 'unique_ids', '["a", "b"]'::jsonb, 'fields', jsonb_build_array(
        '{"attribute": "a", "constant": 1}'::jsonb, '{"attribute": "b", "constant": 2}'::jsonb,
        jsonb_build_object('attribute', 'items', 'relations', jsonb_build_object('items', jsonb_build_array(jsonb_build_object(
            'entity_schema', 'item', 'unique_ids', jsonb_build_array(jsonb_build_object('attribute', 'id', 'constant', id)))))))));
SELECT id, a.entity_slug, a.action, a.unique_identifiers
FROM unnest(ARRAY['7', '"7"', '7.0', '"new"', 'null', '""']::jsonb[]) WITH ORDINALITY AS v(id, n),
     erp_apply(pair_of(id), 'Changed', '{}') WITH ORDINALITY AS a
ORDER BY n, a.ordinality;
SELECT left(id, 10) AS id, f.*
FROM unnest(ARRAY['[7]', '{"x": 7}', to_jsonb(repeat('x', 1001))::text]) WITH ORDINALITY AS v(id, n),
     failure(format('SELECT * FROM erp_apply(pair_of(%L), %L, %L)', id, 'Changed', '{}')) AS f
ORDER BY n;

-- What the key column holds is what is looked up by.
SELECT id, erp._identifier(id) AS identifier
FROM unnest(ARRAY['7.0', '"7.0"', '1e3', '-0.0', '12345678901234567890.50', 'true', '""', 'null', '[]', '{}']::jsonb[]) WITH ORDINALITY AS v(id, n)
ORDER BY n;
INSERT INTO item (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('id', id)
FROM unnest(ARRAY['77.70', '"x\ty"', 'null', '[]', '{}', '""', '"second"']::jsonb[]) AS id;
SELECT id, action FROM unnest(ARRAY['77.7', '"77.7"', '"x\ty"', '"second"']::jsonb[]) WITH ORDINALITY AS v(id, n), erp_apply(item_mapping(), 'Changed', jsonb_build_object('id', id))
ORDER BY n;

CALL forget('apply_identifiers');
