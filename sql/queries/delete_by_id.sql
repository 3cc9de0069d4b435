-- Deletes the entities $1 softly; their rows are locked.
UPDATE {table} AS t
SET {sets}
WHERE t.{id_column} OPERATOR(pg_catalog.=) ANY ($1::{id_type}[])
RETURNING {id}
