-- As update_by_id, of entities that must still have the key by which they were found.
UPDATE {table} AS t
SET attributes = COALESCE(erp._merge(t.attributes, i.patches), t.attributes),
    stub = t.stub AND NOT i.is_upserted,
    deleted_at = CASE WHEN NOT i.is_upserted THEN t.deleted_at END,
    updated_at = $4
FROM {rows} AS i(id, patches, is_stub, is_upserted, {names})
WHERE t.id OPERATOR(pg_catalog.=) i.id
  AND (t.stub OR NOT i.is_stub)
  AND {match}
RETURNING t.id
