-- Entities whose rows are locked: the columns that the events change.
UPDATE {table} AS t
SET {sets}
FROM {rows} AS i(id, a)
CROSS JOIN LATERAL pg_catalog.jsonb_to_record(i.a) AS r({record})
WHERE t.{id_column} OPERATOR(pg_catalog.=) {i.id}
RETURNING {id}
