-- The entities that have the key, but for those of $1.
SELECT {id}, {attributes}, {is_stub}, {is_deleted}
FROM {table} AS t
WHERE {match}
  AND t.{id_column} OPERATOR(pg_catalog.<>) ALL ($1::{id_type}[])
  AND {live}
ORDER BY t.{id_column}
{lock}
