SELECT t.id::pg_catalog.text, t.attributes, t.created_at, t.updated_at, t.deleted_at
FROM {table} AS t
WHERE {match}
ORDER BY t.id
