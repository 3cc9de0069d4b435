-- Which of the given ids are entities.
SELECT t.id
FROM ROWS FROM (pg_catalog.unnest($1)) AS k(id)
JOIN {table} AS t ON t.id OPERATOR(pg_catalog.=) k.id
