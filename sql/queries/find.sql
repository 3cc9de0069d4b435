SELECT {id}::pg_catalog.text, {attributes}, {created_at}, {updated_at}, {deleted_at}
FROM {table} AS t
WHERE {match}
ORDER BY t.{id_column}
