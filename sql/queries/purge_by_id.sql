-- Removes the entities $1; their rows are locked.
DELETE FROM {table} AS t
WHERE t.{id_column} OPERATOR(pg_catalog.=) ANY ($1::{id_type}[])
RETURNING {id}
