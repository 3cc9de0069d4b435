-- A unique index with an expression beside the key's columns does not make the key unique.
CREATE SCHEMA partial_key;
SET search_path = partial_key, public;
CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text, part text, n int, deleted_at timestamptz);
CREATE UNIQUE INDEX ON things (no) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX ON things (no, lower(part));
SELECT erp_register_entity('thing', 'things', '{no}', deleted_at_column => 'deleted_at');
INSERT INTO things (no, part, deleted_at) VALUES ('1', 'a', '2020-01-01'), ('1', 'b', NULL);
SELECT entity_id, action FROM erp_apply(changed('{"entity_schema": "thing", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "n", "field": "n"}]}'), 'Changed', '{"no": "1", "n": 1}');
SELECT * FROM things ORDER BY id;
CALL forget('partial_key');
