-- Those of the entities $1 that the anchor lists ($2), or that link to it ($3).
SELECT {id}, {attributes}, {is_stub}, {is_deleted}
FROM {table} AS t
WHERE t.{id_column} OPERATOR(pg_catalog.=) ANY ($1::{id_type}[])
  AND (t.{id_column} OPERATOR(pg_catalog.=) ANY ($2::{id_type}[]) OR {links_to})
  AND {live}
ORDER BY t.{id_column}
{lock}
