-- The entities deleted before $1, the oldest first, at most $2; not those that others hold.
SELECT {id}
FROM {table} AS t
WHERE t.{deleted_column} OPERATOR(pg_catalog.<) $1
ORDER BY t.{deleted_column}
LIMIT $2
FOR UPDATE SKIP LOCKED
