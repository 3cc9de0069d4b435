-- Entities and stubs of one key set, in the order of their keys. A row's attributes are what a
-- new entity gets; $5 holds the patches of those that append, by proposed id, so that they are
-- evaluated on the locked row. A row that would not change is locked, not written.
INSERT INTO {table} AS t (id, attributes, stub, created_at, updated_at)
SELECT i.id, i.attributes, i.stub, $4, $4
FROM {rows} AS i(id, attributes, stub)
ON CONFLICT ({columns}) DO UPDATE
SET attributes = COALESCE(
        erp._merge(t.attributes, COALESCE($5 OPERATOR(pg_catalog.->) excluded.id::pg_catalog.text, excluded.attributes)),
        t.attributes),
    stub = false,
    deleted_at = NULL,
    updated_at = excluded.updated_at
WHERE NOT excluded.stub
  AND (t.stub
       OR t.deleted_at IS NOT NULL
       OR erp._merge(t.attributes, COALESCE($5 OPERATOR(pg_catalog.->) excluded.id::pg_catalog.text, excluded.attributes)) IS NOT NULL)
RETURNING t.id, {returned}
