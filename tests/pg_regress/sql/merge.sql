-- erp_merge: the laws by which a patch changes attributes.
CREATE TABLE law (n serial PRIMARY KEY, current jsonb, patch jsonb, result jsonb);
-- Values replace, whole; what the patch does not name stays; null is a value.
INSERT INTO law (current, patch, result) VALUES
    ('{}', '{}', '{}'),
    ('{"a": 1}', '{}', '{"a": 1}'),
    ('{"a": 1}', '{"b": 2}', '{"a": 1, "b": 2}'),
    ('{"a": 1, "b": 2}', '{"a": 3}', '{"a": 3, "b": 2}'),
    ('{"a": 1}', '{"a": null}', '{"a": null}'),
    ('{"a": null}', '{"a": false}', '{"a": false}'),
    ('{"a": {"x": 1, "y": 2}}', '{"a": {"x": 3}}', '{"a": {"x": 3}}'),
    ('{"a": [1, 2]}', '{"a": [3]}', '{"a": [3]}'),
    ('{"a": 1.1}', '{"a": 1.10}', '{"a": 1.10}'),
    ('{"a": 1}', '{"A": 2, "": 3, "ä": 4}', '{"a": 1, "A": 2, "": 3, "ä": 4}');
-- Set: a list, whatever is there; a single value is a list of one, null an empty one.
INSERT INTO law (current, patch, result) VALUES
    ('{}', '{"t": {"_set": ["a", "a"]}}', '{"t": ["a", "a"]}'),
    ('{"t": ["x"]}', '{"t": {"_set": ["a"]}}', '{"t": ["a"]}'),
    ('{"t": "text"}', '{"t": {"_set": "a"}}', '{"t": ["a"]}'),
    ('{"t": ["x"]}', '{"t": {"_set": []}}', '{"t": []}'),
    ('{"t": ["x"]}', '{"t": {"_set": null}}', '{"t": []}'),
    ('{"t": {"_set": ["x"]}}', '{"t": {"_set": {"a": 1}}}', '{"t": [{"a": 1}]}');
-- Append: at the end, in order, duplicates kept; to what is missing or null it is set.
INSERT INTO law (current, patch, result) VALUES
    ('{"t": ["a", "b"]}', '{"t": {"_append": ["c", "a"]}}', '{"t": ["a", "b", "c", "a"]}'),
    ('{"t": ["a"]}', '{"t": {"_append": "a"}}', '{"t": ["a", "a"]}'),
    ('{"t": ["a"]}', '{"t": {"_append_all": ["a"]}}', '{"t": ["a", "a"]}'),
    ('{"t": ["a"]}', '{"t": {"_append": [["b"]]}}', '{"t": ["a", ["b"]]}'),
    ('{"t": ["a"]}', '{"t": {"_append": [null]}}', '{"t": ["a", null]}'),
    ('{}', '{"t": {"_append": ["a"]}}', '{"t": ["a"]}'),
    ('{"t": null}', '{"t": {"_append": ["a"]}}', '{"t": ["a"]}'),
    ('{"t": []}', '{"t": {"_append": ["a"]}}', '{"t": ["a"]}'),
    ('{"t": ["a"]}', '{"t": {"_append": []}}', '{"t": ["a"]}'),
    ('{"t": ["a"]}', '{"t": {"_append": null}}', '{"t": ["a"]}'),
    ('{"t": "text"}', '{"t": {"_append": []}}', '{"t": "text"}'),
    ('{}', '{"t": {"_append": []}}', '{}');
-- Append unique: without what is there, and without what it brings twice; compared by value.
INSERT INTO law (current, patch, result) VALUES
    ('{"t": ["a", "b"]}', '{"t": {"_append_unique": ["b", "c", "c"]}}', '{"t": ["a", "b", "c"]}'),
    ('{"t": ["a", "a"]}', '{"t": {"_append_unique": ["a"]}}', '{"t": ["a", "a"]}'),
    ('{}', '{"t": {"_append_unique": ["a", "a"]}}', '{"t": ["a"]}'),
    ('{"t": [{"x": 1, "y": 2}]}', '{"t": {"_append_unique": [{"y": 2, "x": 1}, {"x": 1}]}}', '{"t": [{"x": 1, "y": 2}, {"x": 1}]}'),
    ('{"t": [1, "1", null]}', '{"t": {"_append_unique": [1, "1", null, true]}}', '{"t": [1, "1", null, true]}');
-- An object with more keys, with another key, or further down is data.
INSERT INTO law (current, patch, result) VALUES
    ('{"t": ["a"]}', '{"t": {"_append": ["b"], "_set": ["c"]}}', '{"t": {"_append": ["b"], "_set": ["c"]}}'),
    ('{"t": ["a"]}', '{"t": {"_append": ["b"], "more": 1}}', '{"t": {"_append": ["b"], "more": 1}}'),
    ('{"t": ["a"]}', '{"t": {"_APPEND": ["b"]}}', '{"t": {"_APPEND": ["b"]}}'),
    ('{"t": ["a"]}', '{"t": {"append": ["b"]}}', '{"t": {"append": ["b"]}}'),
    ('{"t": {"u": ["a"]}}', '{"t": {"u": {"_append": ["b"]}}}', '{"t": {"u": {"_append": ["b"]}}}'),
    ('{"t": ["a"]}', '{"t": [{"_append": ["b"]}]}', '{"t": [{"_append": ["b"]}]}'),
    ('{}', '{"_append": ["a"]}', '{"_append": ["a"]}');
-- Relations: the same, by their items; unique means by entity_id, the item that is there stays.
INSERT INTO law (current, patch, result) VALUES
    ('{}', '{"r": {"$relation": {"_set": [{"entity_id": "1", "_schema": "s"}]}}}', '{"r": {"$relation": [{"entity_id": "1", "_schema": "s"}]}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": {"$relation": {"_set": []}}}', '{"r": {"$relation": []}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": {"$relation": {"_append": [{"entity_id": "2"}, {"entity_id": "1"}]}}}', '{"r": {"$relation": [{"entity_id": "1"}, {"entity_id": "2"}, {"entity_id": "1"}]}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": {"$relation": {"_append": {"entity_id": "2"}}}}', '{"r": {"$relation": [{"entity_id": "1"}, {"entity_id": "2"}]}}'),
    ('{"r": {"$relation": [{"entity_id": "1", "_tags": ["x"]}]}}', '{"r": {"$relation": {"_append_unique": [{"entity_id": "1", "_tags": ["y"]}, {"entity_id": "2"}]}}}',
     '{"r": {"$relation": [{"entity_id": "1", "_tags": ["x"]}, {"entity_id": "2"}]}}'),
    ('{}', '{"r": {"$relation": {"_append": [{"entity_id": "1"}]}}}', '{"r": {"$relation": [{"entity_id": "1"}]}}'),
    ('{"r": null}', '{"r": {"$relation": {"_append_all": [{"entity_id": "1"}]}}}', '{"r": {"$relation": [{"entity_id": "1"}]}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": {"$relation": {"_append": []}}}', '{"r": {"$relation": [{"entity_id": "1"}]}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": {"$relation": [{"entity_id": "2"}]}}', '{"r": {"$relation": [{"entity_id": "2"}]}}'),
    ('{"r": ["a"]}', '{"r": {"$relation": {"_set": [{"entity_id": "1"}]}}}', '{"r": {"$relation": [{"entity_id": "1"}]}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": {"$relation": {"_append": []}, "more": 1}}', '{"r": {"$relation": {"_append": []}, "more": 1}}'),
    ('{"r": {"$relation": [{"entity_id": "1"}]}}', '{"r": null}', '{"r": null}'),
    ('{}', '{"r": {"$relation_ref": {"_append": {"entity_id": "1", "path": "p", "_id": "a"}}}}', '{"r": {"$relation_ref": [{"entity_id": "1", "path": "p", "_id": "a"}]}}'),
    ('{"r": {"$relation_ref": [{"entity_id": "1", "path": "p", "_id": "a"}]}}',
     '{"r": {"$relation_ref": {"_append_unique": [{"entity_id": "1", "path": "p", "_id": "a"}, {"entity_id": "1", "path": "p", "_id": "b"}]}}}',
     '{"r": {"$relation_ref": [{"entity_id": "1", "path": "p", "_id": "a"}, {"entity_id": "1", "path": "p", "_id": "b"}]}}'),
    ('{"r": {"$relation_ref": [{"entity_id": "1", "path": "p", "_id": "a"}]}}', '{"r": {"$relation_ref": {"_set": []}}}', '{"r": {"$relation_ref": []}}');
-- No attributes yet, no patch
INSERT INTO law (current, patch, result) VALUES
    (NULL, '{"a": 1, "t": {"_append": ["x"]}}', '{"a": 1, "t": ["x"]}'),
    (NULL, '{}', '{}'),
    ('{"a": 1}', NULL, '{"a": 1}'),
    (NULL, NULL, NULL),
    ('null', '{"a": 1}', '{"a": 1}'),
    ('{"a": 1}', 'null', '{"a": 1}');

-- Laws that do not hold
SELECT n, current, patch, result, erp_merge(current, patch) AS but_it_is
FROM law WHERE erp_merge(current, patch)::text IS DISTINCT FROM result::text ORDER BY n;
SELECT count(*) AS laws FROM law;
-- Values and sets do the same when done again.
SELECT n, current, patch FROM law
WHERE patch::text !~ '_append' AND erp_merge(erp_merge(current, patch), patch)::text IS DISTINCT FROM erp_merge(current, patch)::text;
-- In any number, at any size
SELECT erp_merge(NULL, jsonb_object_agg('k' || n, n)) = jsonb_object_agg('k' || n, n) AS same FROM generate_series(1, 20000) AS n;
SELECT jsonb_array_length(erp_merge(jsonb_build_object('t', jsonb_agg(n)), jsonb_build_object('t', jsonb_build_object('_append', jsonb_agg(n)))) -> 't') AS length
FROM generate_series(1, 20000) AS n;
SELECT erp_merge(jsonb_build_object('d', deep), jsonb_build_object('d', deep))::text = jsonb_build_object('d', deep)::text AS same
FROM (SELECT (repeat('[', 5000) || repeat(']', 5000))::jsonb AS deep) AS d;

-- What cannot be
SELECT current, patch, f.*
FROM (VALUES
    (1, '{"t": "text"}', '{"t": {"_append": ["a"]}}'),
    (2, '{"t": {"x": 1}}', '{"t": {"_append_all": ["a"]}}'),
    (3, '{"t": 1}', '{"t": {"_append_unique": ["a"]}}'),
    (4, '{"t": {"$relation": []}}', '{"t": {"_append": ["a"]}}'),
    (5, '{"r": ["a"]}', '{"r": {"$relation": {"_append": [{"entity_id": "1"}]}}}'),
    (6, '{"r": {"$relation": "x"}}', '{"r": {"$relation": {"_append": [{"entity_id": "1"}]}}}'),
    (7, '[]', '{}'),
    (8, '{}', '[]'),
    (9, '1', '{}'),
    (10, '{}', '"text"')) AS v(n, current, patch),
     failure(format('SELECT erp_merge(%L, %L)', current, patch)) AS f
ORDER BY n;

DROP TABLE law;
