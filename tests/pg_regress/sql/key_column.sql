-- The generated column of an identifier holds what the engine looks the identifier up by, and links what relations name.
CREATE SCHEMA key_column;
SET search_path = key_column, public;
SELECT erp_create_entity('thing', ARRAY['email'], for_upsert => false);
SELECT erp_create_entity('thing', ARRAY[E'o"dd, {na\\me}'' 0'], for_upsert => false);

CREATE TABLE value (n int GENERATED ALWAYS AS IDENTITY, value jsonb);
INSERT INTO value (value)
SELECT * FROM unnest(ARRAY[
    '"a@x"', '""', '" "', '7', '7.00', '12345678901234567890.10', 'true', 'null', '{}', '[]', '["a@x"]', '[[{"email": "a@x"}]]', '{"email": "a@x"}', '{"0": {"email": "a@x"}}',
    '[{"email": "a@x"}]', '[{"phone": "+49 1"}]', '[{"email": "a@x"}, {"email": "b@x"}]', '[{"email": "a@x", "_id": "i", "_tags": ["T"]}]', '[{"phone": 7.00}]', '[{"phone": false}]',
    '[{"email": "b@x", "phone": "1"}]', '[{"email": null, "phone": "1"}]', '[{"email": ""}, {"email": "a@x"}]', '[{"email": ["a@x"]}]', '[{"email": {"email": "a@x"}}]', '[{"mail": "a@x"}]',
    '["a@x", {"email": "a@x"}]', '[{}]', '[null]']::jsonb[]);
INSERT INTO thing (id, attributes)
SELECT gen_random_uuid(), jsonb_build_object('n', n, 'email', value, E'o"dd, {na\\me}'' 0', value) FROM value;

SELECT value, email AS key
FROM value JOIN thing ON attributes -> 'n' = to_jsonb(n)
WHERE email IS NOT NULL
ORDER BY n;
-- No row: they are the same, for any name.
SELECT value, email, thing."o""dd, {na\me}' 0", erp._identifier(value)
FROM value JOIN thing ON attributes -> 'n' = to_jsonb(n)
WHERE (email, thing."o""dd, {na\me}' 0") IS DISTINCT FROM (erp._identifier(value), erp._identifier(value));
-- By the key it is found.
SELECT attributes -> 'email' AS email FROM erp_find('thing', '{"email": "a@x"}') ORDER BY attributes -> 'n';

UPDATE thing
SET attributes = '{"a": {"$relation": [{"entity_id": "1"}, {"entity_id": "2"}]}, "b": {"$relation_ref": [{"entity_id": "3", "path": "p", "_id": "4"}]},
                   "c": {"$relation": [{"entity_id": "5"}]}, "d": [{"entity_id": "6"}], "e": {"x": {"$relation": [{"entity_id": "7"}]}}}'
WHERE attributes -> 'n' = '1';
SELECT links FROM thing WHERE links <> '[]';
CALL forget('key_column');
