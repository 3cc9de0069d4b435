-- erp_find: entities read back.
CREATE SCHEMA find;
SET search_path = find, public;
SELECT erp_create_entity('contact', ARRAY['number']);
SELECT erp_create_entity('contact', ARRAY['first', 'last'], for_upsert => false);
SELECT erp_create_entity('empty', ARRAY['id']);
INSERT INTO contact (id, attributes, created_at, updated_at, deleted_at, stub) VALUES
    ('00000000-0000-0000-0000-000000000003', '{"number": 3.0, "first": "Cy", "last": "C", "city": "Bonn"}', '2024-01-03Z', '2024-02-03Z', NULL, false),
    ('00000000-0000-0000-0000-000000000001', '{"number": "1", "first": "Ann", "last": "A", "city": "Bonn", "age": 30, "vip": true, "tags": ["x"]}', '2024-01-01Z', '2024-02-01Z', NULL, false),
    ('00000000-0000-0000-0000-000000000002', '{"number": 2, "first": "Ann", "last": "B", "city": "Köln", "age": "30"}', '2024-01-02Z', '2024-02-02Z', '2024-03-02Z', false),
    ('00000000-0000-0000-0000-000000000004', '{"first": "Ann", "last": "A"}', '2024-01-04Z', '2024-01-04Z', NULL, true);
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- All of them, those that are deleted with the time, in the order of their ids
SELECT * FROM erp_find('contact');
SELECT count(*) FROM erp_find('contact', '{}');
SELECT * FROM erp_find('empty');

-- By keys, by other attributes, by both: all must match, by the rules of identifiers.
SELECT identifiers, array_agg(right(entity_id, 1) ORDER BY entity_id) AS found
FROM unnest(ARRAY['{"number": 1}', '{"number": "2"}', '{"number": 3}', '{"number": "3.0"}', '{"first": "Ann"}', '{"last": "A", "first": "Ann"}', '{"city": "Bonn"}',
                  '{"city": "Bonn", "first": "Ann"}', '{"age": 30}', '{"vip": true}', '{"vip": "true"}', '{"nowhere": 1}', '{"number": 1, "last": "B"}',
                  '{"city": "''; DROP TABLE contact; --"}', '{"a''b\"c": 1}']::jsonb[]) WITH ORDINALITY AS i(identifiers, n)
LEFT JOIN LATERAL erp_find('contact', identifiers) ON true
GROUP BY n, identifiers ORDER BY n;
SELECT entity_id FROM erp_find(unique_identifiers => '{"number": 1}', slug => 'contact');
-- What cannot be looked for
SELECT arguments, state, message, detail
FROM unnest(ARRAY[$$'contact', '{"number": null}'$$, $$'contact', '{"number": ""}'$$, $$'contact', '{"city": null}'$$, $$'contact', '{"tags": ["x"]}'$$, $$'contact', '{"tags": {}}'$$,
                  $$'contact', '[]'$$, $$'contact', '"1"'$$, $$'contact', NULL$$, $$'contakt', '{"number": 1}'$$, $$'contakt'$$, $$''$$, $$NULL$$]) WITH ORDINALITY AS a(arguments, n),
     failure(format('SELECT * FROM erp_find(%s)', arguments))
ORDER BY n;
-- A hint is a call that can be run.
SELECT slug, hint LIKE '%ARRAY[]%' AS cannot_be_run FROM unnest(ARRAY['contakt', 'x']) AS slug, failure(format('SELECT * FROM erp_find(%L)', slug));

-- Read with the rights, and by the policies, of whoever asks
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA find TO regress_reader;
SET ROLE regress_reader;
SELECT * FROM failure($$ SELECT * FROM erp_find('contact') $$);
RESET ROLE;
GRANT SELECT ON contact TO regress_reader;
ALTER TABLE contact ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_bonn ON contact USING (attributes ->> 'city' = 'Bonn');
SET ROLE regress_reader;
SELECT entity_id FROM erp_find('contact');
RESET ROLE;
CALL forget('find');
DROP ROLE regress_reader;
