-- Entities that no unique index guards; locks keep other sessions from creating them too.
INSERT INTO {table} (id, attributes, stub, created_at, updated_at)
SELECT i.id, i.attributes, i.stub, $4, $4
FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))
     AS i(id, attributes, stub)
RETURNING id
