-- What an entity is known by: the generated key columns.
INSERT INTO key (id, key)
SELECT id, jsonb_build_array({columns})
FROM {table}
