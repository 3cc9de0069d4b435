-- Takes the items that name entities of the type $2 with ids $3 (a jsonb array) out of the relations of $1.
UPDATE {table} AS t
SET {sets}
WHERE t.{id_column} OPERATOR(pg_catalog.=) ANY ($1::{id_type}[]) AND ({changes})
