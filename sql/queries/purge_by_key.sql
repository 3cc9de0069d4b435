-- Entities that still have the key by which they were to be purged.
DELETE FROM {table} AS t
USING ROWS FROM (pg_catalog.unnest($1), {keys}) AS k(id, {names})
WHERE t.{id_column} OPERATOR(pg_catalog.=) {k.id} AND {match}
RETURNING {id}
