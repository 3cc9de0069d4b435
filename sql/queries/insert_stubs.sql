-- Stubs known by identifiers that need not be unique among other entities.
INSERT INTO {table} AS t (id, attributes, stub, created_at, updated_at)
SELECT i.id, i.attributes, i.stub, $4, $4
FROM {rows} AS i(id, attributes, stub)
ON CONFLICT ({columns}) WHERE stub DO NOTHING
RETURNING t.id, {returned}
