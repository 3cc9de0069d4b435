-- Slugs and attributes may have any name: PostgreSQL's quoting, and its 63 bytes, are seen to.
CREATE SCHEMA names;
SET search_path = names, public;

CREATE TABLE name (n serial PRIMARY KEY, slug text, attribute text);
INSERT INTO name (slug, attribute) VALUES
    ('Contact', 'Customer Number'),
    ('contact''s "best"; DROP TABLE name; --', 'a''b"c'),
    ('order', 'select'),
    ('Größe', 'Straße 名前'),
    (repeat('long_slug_', 7), repeat('long_name_', 7)),
    (repeat('long_slug_', 7) || '2', repeat('ü', 40)),
    ('a.b', '$x'),
    ('%s %I', '%L'),
    (E'line\nbreak', E'tab\tand \\ backslash'),
    -- Names that the table's own columns and the system columns have
    ('taken', 'id'), ('taken2', 'attributes'), ('taken3', 'links'), ('taken4', 'stub'), ('taken5', 'created_at'), ('taken6', 'deleted_at'),
    ('taken7', 'ctid'), ('taken8', 'xmin'), ('taken9', 'tableoid'), ('taken10', 'updated_at');
CREATE FUNCTION mapping_of(slug text, attribute text) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', slug, 'unique_ids', jsonb_build_array(attribute), 'fields', jsonb_build_array(
        jsonb_build_object('attribute', attribute, 'field', 'id'),
        jsonb_build_object('attribute', 'next', 'relations', jsonb_build_object('operation', '_append', 'items', jsonb_build_array(jsonb_build_object(
            'entity_schema', slug, 'unique_ids', jsonb_build_array(jsonb_build_object('attribute', attribute, 'field', 'next')))))))));

-- Each is prepared, applied twice, read back.
SELECT n.n, (SELECT count(*) FROM erp_prepare(mapping_of(n.slug, n.attribute))) AS statements FROM name AS n ORDER BY n;
SELECT n.n, a.action FROM name AS n, erp_apply(mapping_of(n.slug, n.attribute), 'Changed', '{"id": "O''Neil", "next": "x"}') WITH ORDINALITY AS a ORDER BY n, ordinality;
SELECT n.n, a.action FROM name AS n, erp_apply(mapping_of(n.slug, n.attribute), 'Changed', '{"id": "O''Neil"}') WITH ORDINALITY AS a ORDER BY n, ordinality;
SELECT n.n, f.attributes - 'next' = jsonb_build_object(n.attribute, 'O''Neil') AS is_found
FROM name AS n, erp_find(n.slug, jsonb_build_object(n.attribute, 'O''Neil')) AS f ORDER BY n;
SELECT n.n, t.table_name, k.columns FROM name AS n JOIN erp.entity_type AS t USING (slug) JOIN erp.entity_key AS k USING (slug) ORDER BY n;
SELECT count(*) AS problems FROM name AS n, erp_validate(mapping_of(n.slug, n.attribute));
SELECT count(*) AS statements FROM name AS n, erp_prepare(mapping_of(n.slug, n.attribute), dry_run => true);

-- Hints quote what they name.
SELECT hint FROM failure($$ SELECT * FROM erp_apply(mapping_of('it''s', 'a"b''c'), 'Changed', '{"id": 1}') $$) \gx

-- Attributes that differ in case, or beyond the 63rd byte, have columns of their own.
SELECT erp_create_entity('twins', ARRAY['number', 'Number', repeat('n', 70), repeat('n', 69) || 'm']);
SELECT columns FROM erp.entity_key WHERE slug = 'twins';
SELECT a.action FROM erp_apply(changed(jsonb_build_object('entity_schema', 'twins',
    'unique_ids', jsonb_build_array('Number', 'number', repeat('n', 69) || 'm', repeat('n', 70)), 'fields', jsonb_build_array(
        '{"attribute": "number", "constant": 1}'::jsonb, '{"attribute": "Number", "constant": 2}'::jsonb,
        jsonb_build_object('attribute', repeat('n', 70), 'constant', 3), jsonb_build_object('attribute', repeat('n', 69) || 'm', 'constant', 4)))), 'Changed', '{}') AS a;
SELECT number, "Number" FROM twins;

-- A name that another attribute's column was given is taken, too.
SELECT erp_create_entity('hashed', ARRAY['id_' || left(md5('id'), 8), 'id']);
SELECT attributes, cardinality(columns) AS columns FROM erp.entity_key WHERE slug = 'hashed';

-- Slugs that differ beyond it have tables of their own.
SELECT erp_create_entity(repeat('t', 70), ARRAY['id']);
SELECT erp_create_entity(repeat('t', 69) || 'u', ARRAY['id']);


-- Names that look like the places of our own statements.
SELECT erp_create_entity('{table}', ARRAY['{match}', '{keys}']);
SELECT entity_slug, action FROM erp_apply('{"entities": [{"entity_schema": "{table}", "unique_ids": ["{match}", "{keys}"],
    "fields": [{"attribute": "{match}", "field": "a"}, {"attribute": "{keys}", "field": "b"}]}]}', 'x', '{"a": 1, "b": 2}');
SELECT attributes FROM erp_find('{table}', '{"{match}": 1, "{pick}": null}');
SELECT attributes FROM erp_find('{table}', '{"{match}": 1}');

CALL forget('names');
