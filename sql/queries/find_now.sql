-- The entities with the given ids, as they are, with their times.
SELECT {attributes}, {is_stub}, {is_deleted}, {created_at}, {updated_at}
FROM {table} AS t
WHERE t.{id_column} OPERATOR(pg_catalog.=) ANY ($1::{id_type}[])
