-- Entities that no unique index guards; locks keep other sessions from creating them too.
INSERT INTO {table} (id, attributes, stub, created_at, updated_at)
SELECT i.id, i.attributes, i.stub, $4, $4
FROM {rows} AS i(id, attributes, stub)
RETURNING id
