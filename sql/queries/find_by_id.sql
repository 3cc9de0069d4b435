-- The entities among the given ids.
SELECT {id}, {is_stub}, {is_deleted}, {attributes}
FROM ROWS FROM (pg_catalog.unnest($1)) AS k(id)
JOIN {table} AS t ON t.{id_column} OPERATOR(pg_catalog.=) {k.id}
