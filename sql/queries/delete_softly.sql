-- Entities that still have the key by which they were to be deleted, and are not deleted yet.
UPDATE {table} AS t
SET {sets}
FROM ROWS FROM (pg_catalog.unnest($1), {keys}) AS k(id, {names})
WHERE t.{id_column} OPERATOR(pg_catalog.=) {k.id} AND {match} AND t.{deleted_column} IS NULL
RETURNING {id}
