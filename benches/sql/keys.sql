-- What an entity is known by: the generated key columns.
INSERT INTO key (id, key)
SELECT t.id,
       (to_jsonb(t) - '{id,attributes,links,stub,created_at,updated_at,deleted_at}'::text[])::text
FROM {table} AS t
