-- An attributes_column may hold anything; what is no object is told, not taken for unchanged.
CREATE SCHEMA not_object;
SET search_path = not_object, public;
CREATE TABLE things (id int PRIMARY KEY, no text UNIQUE, name text, more jsonb);
SELECT erp_register_entity('thing', 'things', '{no}', attributes_column => 'more');
INSERT INTO things VALUES (1, '1', 'old', '[]'), (2, '2', 'old', 'null'), (3, '3', 'old', '"x"'), (4, '4', 'old', NULL);
SELECT event, action, error ->> 'sqlstate' AS state, error ->> 'message' AS message
FROM erp_apply_batch(changed('{"entity_schema": "thing", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "name", "field": "name"}]}'), 'Changed',
    ARRAY['{"no": "1", "name": "new"}', '{"no": "2", "name": "new"}', '{"no": "3", "name": "new"}', '{"no": "4", "name": "new"}']::jsonb[], 'continue');
SELECT * FROM things ORDER BY id;
CALL forget('not_object');
