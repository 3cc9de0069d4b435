-- Rows of this call that link to an id which lost its race: $2 maps it to the one that won.
UPDATE {table} AS t
SET attributes = erp._relink(t.attributes, $2)
WHERE t.id OPERATOR(pg_catalog.=) ANY ($1)
