-- The entities with the given ids as they are now, locked in the order of their ids.
SELECT {id}, {attributes}, {is_stub}
FROM {table} AS t
WHERE t.{id_column} OPERATOR(pg_catalog.=) ANY ($1::{id_type}[])
ORDER BY t.{id_column}
FOR NO KEY UPDATE
