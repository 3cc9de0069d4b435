INSERT INTO {table} (id, attributes, stub)
SELECT r.id, r.attributes, r.stub
FROM bench.ready AS r
WHERE r.version = $1 AND r.n BETWEEN $2 AND $3 AND r.table_name = '{table}'
