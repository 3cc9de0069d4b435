-- Entities whose relations name one of the given ids.
SELECT {id}
FROM ROWS FROM (pg_catalog.unnest($1)) AS k(id)
JOIN {table} AS t ON {links_to}
