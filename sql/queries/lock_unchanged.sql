-- Rows that events leave as they are ($2: what they say of each), locked, as far as they are what
-- was seen.
SELECT t.id
FROM {rows} AS i(id, patches)
JOIN {table} AS t ON t.id OPERATOR(pg_catalog.=) i.id
WHERE NOT t.stub
  AND t.deleted_at IS NULL
  AND erp._merge(t.attributes, i.patches) IS NULL
FOR NO KEY UPDATE OF t
