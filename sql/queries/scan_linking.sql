-- As find_linking, for tables without an index of links: one pass, whatever the number of ids.
SELECT {id}
FROM {table} AS t
WHERE {links_to}
