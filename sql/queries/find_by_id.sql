-- Which of the given ids are entities.
SELECT {id}
FROM ROWS FROM (pg_catalog.unnest($1)) AS k(id)
JOIN {table} AS t ON t.{id_column} OPERATOR(pg_catalog.=) {k.id}
