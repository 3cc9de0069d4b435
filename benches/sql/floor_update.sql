UPDATE {table} AS t
SET attributes = r.attributes, updated_at = now()
FROM bench.ready AS r
WHERE r.version = $1 AND r.n BETWEEN $2 AND $3 AND r.table_name = '{table}' AND t.id = r.id
