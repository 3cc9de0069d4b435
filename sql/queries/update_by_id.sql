-- Entities that are there and change: stubs that are completed must still be stubs ($3); those
-- that only get items which are linked to (not $5) stay stubs, or deleted.
UPDATE {table} AS t
SET attributes = COALESCE(erp._merge(t.attributes, i.patches), t.attributes),
    stub = t.stub AND NOT i.is_upserted,
    deleted_at = CASE WHEN NOT i.is_upserted THEN t.deleted_at END,
    updated_at = $4
FROM {rows} AS i(id, patches, is_stub, is_upserted)
WHERE t.id OPERATOR(pg_catalog.=) i.id
  AND (t.stub OR NOT i.is_stub)
RETURNING t.id
