-- Entities that are not found by the key they are written under: stubs that another key
-- completes ($3: they must still be stubs), entities whose key changes.
UPDATE {table} AS t
SET attributes = COALESCE(erp._merge(t.attributes, i.patches), t.attributes),
    stub = false,
    deleted_at = NULL,
    updated_at = $4
FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))
     AS i(id, patches, is_stub)
WHERE t.id OPERATOR(pg_catalog.=) i.id
  AND (t.stub OR NOT i.is_stub)
RETURNING t.id
